package kernels

import "fmt"

// The coefficients of [NewtonSchulz], the number of its iterations that Muon takes, and
// the least norm that [MuonNormalize] divides by: those of torch.optim.Muon.
const (
	NewtonSchulzA, NewtonSchulzB, NewtonSchulzC float32 = 3.4445, -4.7750, 2.0315

	NewtonSchulzSteps = 5
	MuonEps           = 1e-7
)

// MuonMomentum is the first op of a step of Muon (Jordan et al. 2024), in the form of
// torch.optim.Muon. It replaces the gradient with the direction of Nesterov momentum:
//
//	M ← M + (1−μ)·(Grad − M)
//	Grad ← Grad + μ·(M − Grad)
//
// 1−μ is computed in float64 and rounded once to float32. The ops that follow make the
// matrix U = Grad (R, C) nearly orthogonal. Newton and Schulz's iteration
// X ← (a·I + b·XXᵀ + c·(XXᵀ)²)·X, from X = U/‖U‖, multiplies from the left only. All its
// factors are polynomials of the Gram matrix A = XXᵀ, so that they commute, and become
// one factor T before the product T·U:
//
//	GEMM          Gram = U·Uᵀ
//	MuonNormalize A = Gram/‖U‖²
//	NewtonSchulz  Q = a·I + A·(c·A + b·I), with a GEMM that accumulates
//	GEMM          T ← Q·T, A ← (Q·A)·Q; then the next iteration
//	GEMM          Direction = T·U
//	MuonStep      Param moves against Direction/‖U‖
//
// If R > C, Gram is UᵀU and Direction is U·T.
type MuonMomentum struct {
	Grad Tensor // (L), updated
	M    Tensor // (L), momentum buffer, updated

	Momentum float64
}

// MuonNormalize divides the Gram matrix of a matrix U by the square of U's Frobenius
// norm, which is the square root of Gram's trace:
//
//	Norm = max(‖U‖, MuonEps)
//	A = Gram/Norm²
type MuonNormalize struct {
	Gram Tensor // (N, N)
	A    Tensor // (N, N)
	Norm Tensor // (1)
}

// NewtonSchulz makes the terms of one iteration's factor a·I + b·A + c·A² = Q + A·P:
//
//	P = c·A + b·I
//	Q = a·I
type NewtonSchulz struct {
	A    Tensor // (N, N)
	P, Q Tensor // (N, N)
}

// MuonStep moves the parameters, with decoupled weight decay λ and
// lr = LearningRates[slot]:
//
//	Param ← (1 − lr·λ)·Param − lr·Scale/Norm·Direction
type MuonStep struct {
	Param         Tensor // (L), updated
	Direction     Tensor // (L)
	Norm          Tensor // (1)
	State         Tensor // (StateWords) uint32
	LearningRates Tensor // (slots)

	Scale, WeightDecay float32
}

// Kind implements [Op].
func (MuonMomentum) Kind() string { return "MuonMomentum" }

// Kind implements [Op].
func (MuonNormalize) Kind() string { return "MuonNormalize" }

// Kind implements [Op].
func (NewtonSchulz) Kind() string { return "NewtonSchulz" }

// Kind implements [Op].
func (MuonStep) Kind() string { return "MuonStep" }

// Operands implements [Op].
func (op MuonMomentum) Operands() []Operand {
	return []Operand{inout("Grad", op.Grad), inout("M", op.M)}
}

// Operands implements [Op].
func (op MuonNormalize) Operands() []Operand {
	return []Operand{in("Gram", op.Gram), out("A", op.A), out("Norm", op.Norm)}
}

// Operands implements [Op].
func (op NewtonSchulz) Operands() []Operand {
	return []Operand{in("A", op.A), out("P", op.P), out("Q", op.Q)}
}

// Operands implements [Op].
func (op MuonStep) Operands() []Operand {
	return []Operand{inout("Param", op.Param), in("Direction", op.Direction), in("Norm", op.Norm),
		in("State", op.State).of(Uint32), in("LearningRates", op.LearningRates)}
}

// Check implements [Op].
func (op MuonMomentum) Check() error {
	if !(op.Momentum >= 0 && op.Momentum < 1) {
		return fmt.Errorf("momentum %v is outside [0, 1)", op.Momentum)
	}
	return first(rank("Grad", op.Grad, 1), want("M", op.M, op.Grad.Shape...))
}

// Check implements [Op].
func (op MuonNormalize) Check() error {
	return first(checkSquare("Gram", op.Gram), want("A", op.A, op.Gram.Shape...), want("Norm", op.Norm, 1))
}

// Check implements [Op].
func (op NewtonSchulz) Check() error {
	return first(checkSquare("A", op.A), want("P", op.P, op.A.Shape...), want("Q", op.Q, op.A.Shape...))
}

// Check implements [Op].
func (op MuonStep) Check() error {
	if !(op.WeightDecay >= 0) {
		return fmt.Errorf("weight decay %v is negative", op.WeightDecay)
	}
	if !(op.Scale > 0) {
		return fmt.Errorf("scale %v is not positive", op.Scale)
	}
	return first(rank("Param", op.Param, 1), want("Direction", op.Direction, op.Param.Shape...), want("Norm", op.Norm, 1),
		want("State", op.State, StateWords), rank("LearningRates", op.LearningRates, 1))
}

func checkSquare(name string, t Tensor) error {
	if err := rank(name, t, 2); err != nil {
		return err
	}
	return want(name, t, t.Shape[0], t.Shape[0])
}

// FLOPs implements [Op].
func (op MuonMomentum) FLOPs() int { return 6 * op.Grad.Len() }

// FLOPs implements [Op].
func (op MuonNormalize) FLOPs() int { return op.Gram.Len() }

// FLOPs implements [Op].
func (op NewtonSchulz) FLOPs() int { return 2 * op.A.Len() }

// FLOPs implements [Op].
func (op MuonStep) FLOPs() int { return 4 * op.Param.Len() }
