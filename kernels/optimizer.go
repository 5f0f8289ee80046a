package kernels

import "fmt"

// DecayGroup is the number of parameters that share a weight decay. Tensors start
// at multiples of it in an arena.
const DecayGroup = Alignment / 4

// Adam is one step of Adam (Kingma & Ba 2015) over a flat arena, with PyTorch's L2
// form of weight decay or, if Decoupled, AdamW's (Loshchilov & Hutter 2019). With
// lr = LearningRates[slot], the bias corrections c₁, c₂ from State, and the weight
// decay λ = WeightDecay·DecayShares[i/DecayGroup] of parameter i:
//
//	g = Grad + (0 if Decoupled, else λ)·Param
//	M ← β₁·M + (1−β₁)·g
//	V ← β₂·V + (1−β₂)·g²
//	Param ← (1 − lr·λ if Decoupled, else 1)·Param − (lr/c₁) · M / (√V/√c₂ + Eps)
//
// 1−β is computed in float64 and rounded once to float32.
type Adam struct {
	Param         Tensor // (L), updated
	Grad          Tensor // (L)
	M             Tensor // (L), first moment, updated
	V             Tensor // (L), second moment, updated
	State         Tensor // (StateWords) uint32
	LearningRates Tensor // (slots), one rate per step of the epoch
	DecayShares   Tensor // (⌈L/DecayGroup⌉), 0 to 1; optional: all are 1

	Beta1, Beta2     float64
	Eps, WeightDecay float32
	Decoupled        bool
}

// SGD is one step of stochastic gradient descent with momentum μ (Sutskever
// et al. 2013, in PyTorch's form), with λ as in [Adam]:
//
//	g = Grad + λ·Param
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
	DecayShares   Tensor // (⌈L/DecayGroup⌉), optional

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
		in("State", op.State).of(Uint32), in("LearningRates", op.LearningRates), in("DecayShares", op.DecayShares).optional()}
}

// Operands implements [Op].
func (op SGD) Operands() []Operand {
	m := inout("M", op.M)
	m.Optional = op.Momentum == 0
	return []Operand{inout("Param", op.Param), in("Grad", op.Grad), m,
		in("State", op.State).of(Uint32), in("LearningRates", op.LearningRates), in("DecayShares", op.DecayShares).optional()}
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
		want("State", op.State, StateWords), rank("LearningRates", op.LearningRates, 1), checkShares(op.DecayShares, op.Param))
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
		want("State", op.State, StateWords), rank("LearningRates", op.LearningRates, 1), checkShares(op.DecayShares, op.Param))
}

func checkShares(shares, param Tensor) error {
	return wantIfPresent("DecayShares", shares, (param.Len()+DecayGroup-1)/DecayGroup)
}

// FLOPs implements [Op].
func (op Adam) FLOPs() int { return 13 * op.Param.Len() }

// FLOPs implements [Op].
func (op SGD) FLOPs() int { return 6 * op.Param.Len() }
