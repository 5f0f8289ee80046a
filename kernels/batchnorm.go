package kernels

import "fmt"

// BatchNormForward normalises each channel by the batch statistics (Ioffe &
// Szegedy 2015), as PyTorch's BatchNorm2d does in training mode. With
// R = N·H·W rows:
//
//	Mean[c]   = Σ_r X[r,c] / R
//	Var[c]    = Σ_r (X[r,c] − Mean[c])² / R           (by a stable method)
//	InvStd[c] = 1 / √(Var[c] + Eps)
//	Y[r,c]    = (X[r,c] − Mean[c]) · InvStd[c] · Gamma[c] + Beta[c]
//	RunningMean ← (1 − Momentum)·RunningMean + Momentum·Mean
//	RunningVar  ← (1 − Momentum)·RunningVar  + Momentum·Var·R/(R − 1)
//
// If R is 1, the factor R/(R − 1) is omitted. With Var, the op reads Mean and
// Var instead of computing them: [ConvForward] computes them on request. Y may
// share X's tensor only if no backward op follows.
type BatchNormForward struct {
	X           Tensor // (..., C), R rows in all
	Gamma       Tensor // (C)
	Beta        Tensor // (C)
	RunningMean Tensor // (C), updated
	RunningVar  Tensor // (C), updated
	Mean        Tensor // (C), saved for the backward op; read where Var is present
	Var         Tensor // (C), biased; optional
	InvStd      Tensor // (C), saved for the backward op
	Y           Tensor // X's shape

	Momentum, Eps float32
}

// BatchNormInference normalises by the running statistics:
//
//	Y[r,c] = (X[r,c] − RunningMean[c]) / √(RunningVar[c] + Eps) · Gamma[c] + Beta[c]
//
// Y may share X's tensor.
type BatchNormInference struct {
	X           Tensor // (..., C)
	Gamma       Tensor // (C)
	Beta        Tensor // (C)
	RunningMean Tensor // (C)
	RunningVar  Tensor // (C)
	Y           Tensor // X's shape

	Eps float32
}

// BatchNormBackward is the gradient of [BatchNormForward]. With
// x̂ = (X − Mean)·InvStd and R rows:
//
//	DBeta[c]  = Σ_r DY[r,c]
//	DGamma[c] = Σ_r DY[r,c]·x̂[r,c]
//	DX[r,c]   = Gamma[c]·InvStd[c] · (DY[r,c] − DBeta[c]/R − x̂[r,c]·DGamma[c]/R)
//
// DX may share DY's tensor.
type BatchNormBackward struct {
	X      Tensor // (..., C)
	DY     Tensor // X's shape
	Gamma  Tensor // (C)
	Mean   Tensor // (C)
	InvStd Tensor // (C)
	DX     Tensor // X's shape
	DGamma Tensor // (C)
	DBeta  Tensor // (C)
}

// Kind implements [Op].
func (BatchNormForward) Kind() string { return "BatchNormForward" }

// Kind implements [Op].
func (BatchNormInference) Kind() string { return "BatchNormInference" }

// Kind implements [Op].
func (BatchNormBackward) Kind() string { return "BatchNormBackward" }

// Operands implements [Op].
func (op BatchNormForward) Operands() []Operand {
	mean := out("Mean", op.Mean)
	if !op.Var.Absent() {
		mean = in("Mean", op.Mean)
	}
	return []Operand{in("X", op.X), in("Gamma", op.Gamma), in("Beta", op.Beta),
		inout("RunningMean", op.RunningMean), inout("RunningVar", op.RunningVar),
		mean, in("Var", op.Var).optional(), out("InvStd", op.InvStd), out("Y", op.Y)}
}

// Operands implements [Op].
func (op BatchNormInference) Operands() []Operand {
	return []Operand{in("X", op.X), in("Gamma", op.Gamma), in("Beta", op.Beta),
		in("RunningMean", op.RunningMean), in("RunningVar", op.RunningVar), out("Y", op.Y)}
}

// Operands implements [Op].
func (op BatchNormBackward) Operands() []Operand {
	return []Operand{in("X", op.X), in("DY", op.DY), in("Gamma", op.Gamma), in("Mean", op.Mean),
		in("InvStd", op.InvStd), out("DX", op.DX), out("DGamma", op.DGamma), out("DBeta", op.DBeta)}
}

// Check implements [Op].
func (op BatchNormForward) Check() error {
	if !(op.Momentum >= 0 && op.Momentum <= 1) {
		return fmt.Errorf("momentum %v is outside [0, 1]", op.Momentum)
	}
	c := op.X.Dim(-1)
	return first(checkEps(op.Eps), want("Gamma", op.Gamma, c), want("Beta", op.Beta, c),
		want("RunningMean", op.RunningMean, c), want("RunningVar", op.RunningVar, c),
		want("Mean", op.Mean, c), wantIfPresent("Var", op.Var, c), want("InvStd", op.InvStd, c), want("Y", op.Y, op.X.Shape...))
}

// Check implements [Op].
func (op BatchNormInference) Check() error {
	c := op.X.Dim(-1)
	return first(checkEps(op.Eps), want("Gamma", op.Gamma, c), want("Beta", op.Beta, c),
		want("RunningMean", op.RunningMean, c), want("RunningVar", op.RunningVar, c),
		want("Y", op.Y, op.X.Shape...))
}

// Check implements [Op].
func (op BatchNormBackward) Check() error {
	c := op.X.Dim(-1)
	return first(want("DY", op.DY, op.X.Shape...), want("Gamma", op.Gamma, c), want("Mean", op.Mean, c),
		want("InvStd", op.InvStd, c), want("DX", op.DX, op.X.Shape...), want("DGamma", op.DGamma, c),
		want("DBeta", op.DBeta, c))
}

func checkEps(eps float32) error {
	if !(eps > 0) {
		return fmt.Errorf("eps %v is not positive", eps)
	}
	return nil
}

// FLOPs implements [Op].
func (op BatchNormForward) FLOPs() int { return 7 * op.X.Len() }

// FLOPs implements [Op].
func (op BatchNormInference) FLOPs() int { return 2 * op.X.Len() }

// FLOPs implements [Op].
func (op BatchNormBackward) FLOPs() int { return 9 * op.X.Len() }
