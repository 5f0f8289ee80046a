package kernels

import "fmt"

// SoftmaxCrossEntropy computes, for one batch of logits z and integer labels,
// the mean cross-entropy, the number of correct predictions and, on request,
// the gradient and the probabilities, in one pass. With C classes,
// p = softmax(z), ε = Smoothing and the target q[c] = (1−ε)·[c = label] + ε/C
// (Szegedy et al. 2016, as PyTorch's label_smoothing):
//
//	Loss[slot]    = −Σ_n Σ_c q[n,c]·log p[n,c] / N
//	Correct[slot] = number of n for which the first largest logit is the label's
//	DLogits[n,c]  = (p[n,c] − q[n,c]) / N
//	Probs[cursor+n, c] = p[n,c]
//	SampleLosses[cursor+n] = −Σ_c q[n,c]·log p[n,c]
//
// slot and cursor come from State. Each row's maximum is subtracted from its
// logits before exponentiation. Labels must be below C.
type SoftmaxCrossEntropy struct {
	Logits  Tensor // (N, C)
	Labels  Tensor // (N) uint32
	State   Tensor // (StateWords) uint32
	Loss    Tensor // (slots), one entry written
	Correct Tensor // (slots) uint32, one entry written
	DLogits Tensor // (N, C), optional
	Probs   Tensor // (rows, C), optional, N rows written

	SampleLosses Tensor // (rows), optional, N entries written

	Smoothing float32
}

// Kind implements [Op].
func (SoftmaxCrossEntropy) Kind() string { return "SoftmaxCrossEntropy" }

// Operands implements [Op]. Loss, Correct, Probs and SampleLosses keep their other
// entries, so they count as read and written.
func (op SoftmaxCrossEntropy) Operands() []Operand {
	return []Operand{in("Logits", op.Logits), in("Labels", op.Labels).of(Uint32), in("State", op.State).of(Uint32),
		inout("Loss", op.Loss), inout("Correct", op.Correct).of(Uint32),
		out("DLogits", op.DLogits).optional(), inout("Probs", op.Probs).optional(),
		inout("SampleLosses", op.SampleLosses).optional()}
}

// Check implements [Op].
func (op SoftmaxCrossEntropy) Check() error {
	if err := rank("Logits", op.Logits, 2); err != nil {
		return err
	}
	if !(op.Smoothing >= 0 && op.Smoothing < 1) {
		return fmt.Errorf("label smoothing %v is outside [0, 1)", op.Smoothing)
	}
	n, c := op.Logits.Shape[0], op.Logits.Shape[1]
	if !op.Probs.Absent() {
		if err := rank("Probs", op.Probs, 2); err != nil {
			return err
		}
		if op.Probs.Shape[0] < n || op.Probs.Shape[1] != c {
			return fmt.Errorf("output Probs has shape %v, want at least %d rows of %d", op.Probs.Shape, n, c)
		}
	}
	if !op.SampleLosses.Absent() {
		if err := rank("SampleLosses", op.SampleLosses, 1); err != nil {
			return err
		}
		if op.SampleLosses.Shape[0] < n {
			return fmt.Errorf("output SampleLosses has %d entries, want at least %d", op.SampleLosses.Shape[0], n)
		}
	}
	return first(want("Labels", op.Labels, n), want("State", op.State, StateWords),
		rank("Loss", op.Loss, 1), want("Correct", op.Correct, op.Loss.Shape[0]),
		wantIfPresent("DLogits", op.DLogits, n, c))
}

// FLOPs implements [Op].
func (op SoftmaxCrossEntropy) FLOPs() int { return 8 * op.Logits.Len() }

// Traffic returns the number of bytes that the op moves: of Loss, Correct, Probs and
// SampleLosses only what it writes.
func (op SoftmaxCrossEntropy) Traffic() int {
	bytes := op.Logits.Bytes() + op.Labels.Bytes() + op.DLogits.Bytes() + 8
	if !op.Probs.Absent() {
		bytes += op.Logits.Bytes()
	}
	if !op.SampleLosses.Absent() {
		bytes += 4 * op.Logits.Shape[0]
	}
	return bytes
}
