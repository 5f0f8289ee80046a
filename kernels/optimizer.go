package kernels

import "fmt"

// Adam is one step of Adam (Kingma & Ba 2015) over a flat arena, with
// PyTorch's L2 form of weight decay. With lr = LearningRates[slot] and the
// bias corrections c₁, c₂ from State:
//
//	g = Grad + WeightDecay·Param
//	M ← β₁·M + (1−β₁)·g
//	V ← β₂·V + (1−β₂)·g²
//	Param ← Param − (lr/c₁) · M / (√V/√c₂ + Eps)
//
// 1−β is computed in float64 and rounded once to float32.
type Adam struct {
	Param         Tensor // (L), updated
	Grad          Tensor // (L)
	M             Tensor // (L), first moment, updated
	V             Tensor // (L), second moment, updated
	State         Tensor // (StateWords) uint32
	LearningRates Tensor // (slots), one rate per step of the epoch

	Beta1, Beta2     float64
	Eps, WeightDecay float32
}

// SGD is one step of stochastic gradient descent with momentum μ (Sutskever
// et al. 2013, in PyTorch's form):
//
//	g = Grad + WeightDecay·Param
//	M ← μ·M + g
//	Param ← Param − lr·(g + μ·M where Nesterov, else M)
//
// M may be absent if Momentum is 0: then Param ← Param − lr·g.
type SGD struct {
	Param         Tensor // (L), updated
	Grad          Tensor // (L)
	M             Tensor // (L), momentum buffer, updated; optional if Momentum is 0
	State         Tensor // (StateWords) uint32
	LearningRates Tensor // (slots)

	Momentum, WeightDecay float32
	Nesterov              bool
}

// Kind implements [Op].
func (Adam) Kind() string { return "Adam" }

// Kind implements [Op].
func (SGD) Kind() string { return "SGD" }

// Operands implements [Op].
func (op Adam) Operands() []Operand {
	return []Operand{inout("Param", op.Param), in("Grad", op.Grad), inout("M", op.M), inout("V", op.V),
		in("State", op.State).of(Uint32), in("LearningRates", op.LearningRates)}
}

// Operands implements [Op].
func (op SGD) Operands() []Operand {
	m := inout("M", op.M)
	m.Optional = op.Momentum == 0
	return []Operand{inout("Param", op.Param), in("Grad", op.Grad), m,
		in("State", op.State).of(Uint32), in("LearningRates", op.LearningRates)}
}

// Check implements [Op].
func (op Adam) Check() error {
	if !(op.Beta1 >= 0 && op.Beta1 < 1 && op.Beta2 >= 0 && op.Beta2 < 1) {
		return fmt.Errorf("betas %v and %v are outside [0, 1)", op.Beta1, op.Beta2)
	}
	if !(op.WeightDecay >= 0) {
		return fmt.Errorf("weight decay %v is negative", op.WeightDecay)
	}
	return first(checkEps(op.Eps), rank("Param", op.Param, 1), want("Grad", op.Grad, op.Param.Shape...),
		want("M", op.M, op.Param.Shape...), want("V", op.V, op.Param.Shape...),
		want("State", op.State, StateWords), rank("LearningRates", op.LearningRates, 1))
}

// Check implements [Op].
func (op SGD) Check() error {
	if !(op.Momentum >= 0 && op.Momentum < 1) || (op.Nesterov && op.Momentum == 0) {
		return fmt.Errorf("momentum %v: want [0, 1), and above 0 with Nesterov", op.Momentum)
	}
	if !(op.WeightDecay >= 0) {
		return fmt.Errorf("weight decay %v is negative", op.WeightDecay)
	}
	return first(rank("Param", op.Param, 1), want("Grad", op.Grad, op.Param.Shape...),
		wantIfPresent("M", op.M, op.Param.Shape...),
		want("State", op.State, StateWords), rank("LearningRates", op.LearningRates, 1))
}

// FLOPs implements [Op].
func (op Adam) FLOPs() int { return 13 * op.Param.Len() }

// FLOPs implements [Op].
func (op SGD) FLOPs() int { return 6 * op.Param.Len() }
