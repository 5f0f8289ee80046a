package kernels

import "fmt"

// BatchNormReLUPoolForward fuses batch normalisation in training mode, ReLU and
// a max-pool of Size×Size windows without overlap into one pass over X. Size 1
// means no pooling. The op that writes X provides the batch statistics
// ([ConvForward] computes them on request). With R = N·H·W rows:
//
//	InvStd[c] = 1 / √(Var[c] + Eps)
//	B[n,h,w,c] = (X[n,h,w,c] − Mean[c]) · InvStd[c] · Gamma[c] + Beta[c]
//	Y[n,oh,ow,c] = max(0, the largest B of the window)
//	Index[n,oh,ow,c] = position of that B in its window, as in [MaxPoolForward]
//	RunningMean ← (1 − Momentum)·RunningMean + Momentum·Mean
//	RunningVar  ← (1 − Momentum)·RunningVar  + Momentum·Var·R/(R − 1)
//
// If R is 1, the factor R/(R − 1) is omitted. Of NaNs in a window, the largest B is only
// sure to be one if the first B is: a channel's statistics spread a NaN to all of it anyway.
type BatchNormReLUPoolForward struct {
	X           Tensor // (N, H, W, C)
	Mean        Tensor // (C), of the batch
	Var         Tensor // (C), of the batch, biased
	Gamma       Tensor // (C)
	Beta        Tensor // (C)
	RunningMean Tensor // (C), updated
	RunningVar  Tensor // (C), updated
	InvStd      Tensor // (C), saved for the backward op
	Y           Tensor // (N, ⌊H/Size⌋, ⌊W/Size⌋, C)
	Index       Tensor // Y's shape, uint32; absent where Size is 1

	Size          int
	Momentum, Eps float32
}

// BatchNormReLUPoolInference is the same op with the running statistics, which
// it does not update:
//
//	Y[n,oh,ow,c] = max(0, largest (X[n,h,w,c] − RunningMean[c]) / √(RunningVar[c] + Eps) · Gamma[c] + Beta[c] of the window)
type BatchNormReLUPoolInference struct {
	X           Tensor // (N, H, W, C)
	Gamma       Tensor // (C)
	Beta        Tensor // (C)
	RunningMean Tensor // (C)
	RunningVar  Tensor // (C)
	Y           Tensor // (N, ⌊H/Size⌋, ⌊W/Size⌋, C)

	Size int
	Eps  float32
}

// BatchNormReLUPoolBackward is the gradient of [BatchNormReLUPoolForward].
// With x̂ = (X − Mean)·InvStd, R = N·H·W rows, and G[n,h,w,c] = DY of the
// window whose Index points to (h, w) and whose Y is positive, else 0:
//
//	DBeta[c]  = Σ_r G[r,c]
//	DGamma[c] = Σ_r G[r,c]·x̂[r,c]
//	DX[r,c]   = Gamma[c]·InvStd[c] · (G[r,c] − DBeta[c]/R − x̂[r,c]·DGamma[c]/R)
//
// DX may share X's tensor.
type BatchNormReLUPoolBackward struct {
	X      Tensor // (N, H, W, C)
	Y      Tensor // (N, ⌊H/Size⌋, ⌊W/Size⌋, C)
	DY     Tensor // Y's shape
	Index  Tensor // Y's shape, uint32; absent where Size is 1
	Gamma  Tensor // (C)
	Mean   Tensor // (C)
	InvStd Tensor // (C)
	DX     Tensor // X's shape
	DGamma Tensor // (C)
	DBeta  Tensor // (C)

	Size int
}

// Kind implements [Op].
func (BatchNormReLUPoolForward) Kind() string { return "BatchNormReLUPoolForward" }

// Kind implements [Op].
func (BatchNormReLUPoolInference) Kind() string { return "BatchNormReLUPoolInference" }

// Kind implements [Op].
func (BatchNormReLUPoolBackward) Kind() string { return "BatchNormReLUPoolBackward" }

// Operands implements [Op].
func (op BatchNormReLUPoolForward) Operands() []Operand {
	return []Operand{in("X", op.X), in("Mean", op.Mean), in("Var", op.Var), in("Gamma", op.Gamma), in("Beta", op.Beta),
		inout("RunningMean", op.RunningMean), inout("RunningVar", op.RunningVar), out("InvStd", op.InvStd),
		out("Y", op.Y), fusedIndex(out("Index", op.Index), op.Size)}
}

// Operands implements [Op].
func (op BatchNormReLUPoolInference) Operands() []Operand {
	return []Operand{in("X", op.X), in("Gamma", op.Gamma), in("Beta", op.Beta),
		in("RunningMean", op.RunningMean), in("RunningVar", op.RunningVar), out("Y", op.Y)}
}

// Operands implements [Op].
func (op BatchNormReLUPoolBackward) Operands() []Operand {
	return []Operand{in("X", op.X), in("Y", op.Y), in("DY", op.DY), fusedIndex(in("Index", op.Index), op.Size),
		in("Gamma", op.Gamma), in("Mean", op.Mean), in("InvStd", op.InvStd),
		out("DX", op.DX), out("DGamma", op.DGamma), out("DBeta", op.DBeta)}
}

// Check implements [Op].
func (op BatchNormReLUPoolForward) Check() error {
	if !(op.Momentum >= 0 && op.Momentum <= 1) {
		return fmt.Errorf("momentum %v is outside [0, 1]", op.Momentum)
	}
	c := op.X.Dim(-1)
	return first(checkEps(op.Eps), checkFusedPool(op.X, op.Y, op.Index, op.Size),
		want("Mean", op.Mean, c), want("Var", op.Var, c), want("Gamma", op.Gamma, c), want("Beta", op.Beta, c),
		want("RunningMean", op.RunningMean, c), want("RunningVar", op.RunningVar, c), want("InvStd", op.InvStd, c))
}

// Check implements [Op].
func (op BatchNormReLUPoolInference) Check() error {
	c := op.X.Dim(-1)
	return first(checkEps(op.Eps), checkFusedPool(op.X, op.Y, Tensor{}, op.Size), want("Gamma", op.Gamma, c),
		want("Beta", op.Beta, c), want("RunningMean", op.RunningMean, c), want("RunningVar", op.RunningVar, c))
}

// Check implements [Op].
func (op BatchNormReLUPoolBackward) Check() error {
	c := op.X.Dim(-1)
	return first(checkFusedPool(op.X, op.Y, op.Index, op.Size), want("DY", op.DY, op.Y.Shape...),
		want("Gamma", op.Gamma, c), want("Mean", op.Mean, c), want("InvStd", op.InvStd, c),
		want("DX", op.DX, op.X.Shape...), want("DGamma", op.DGamma, c), want("DBeta", op.DBeta, c))
}

// fusedIndex makes o the index of a pool of the given size; size 1 needs none.
func fusedIndex(o Operand, size int) Operand {
	o.Type, o.Optional = Uint32, size == 1
	return o
}

// checkFusedPool checks x (N, H, W, C), y (N, ⌊H/size⌋, ⌊W/size⌋, C) and, if
// present, the index, which has y's shape.
func checkFusedPool(x, y, index Tensor, size int) error {
	if err := checkPool("X", x, "Y", y, size, size); err != nil {
		return err
	}
	return wantIfPresent("Index", index, y.Shape...)
}

// FLOPs implements [Op].
func (op BatchNormReLUPoolForward) FLOPs() int { return 4 * op.X.Len() }

// FLOPs implements [Op].
func (op BatchNormReLUPoolInference) FLOPs() int { return 4 * op.X.Len() }

// FLOPs implements [Op].
func (op BatchNormReLUPoolBackward) FLOPs() int { return 4*op.Y.Len() + 5*op.X.Len() }
