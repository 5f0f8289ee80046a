package kernels

import "fmt"

// ConvBatchNormInference is a convolution with what follows it in a trained
// network: batch normalisation by the running statistics and, on request, ReLU and
// a max-pool of Pool×Pool windows without overlap. With Z as [ConvForward] computes
// Y from X, W and Bias:
//
//	B[n,oh,ow,o] = (Z[n,oh,ow,o] − RunningMean[o]) / √(RunningVar[o] + Eps) · Gamma[o] + Beta[o]
//	Y[n,ph,pw,o] = the largest B of the window; with ReLU, at least 0
//
// A backend may leave Z unwritten.
type ConvBatchNormInference struct {
	X           Tensor // (N, H, W, I)
	W           Tensor // (O, KH, KW, I)
	Bias        Tensor // (O), optional
	Gamma       Tensor // (O)
	Beta        Tensor // (O)
	RunningMean Tensor // (O)
	RunningVar  Tensor // (O)
	Z           Tensor // (N, OH, OW, O), scratch; OH and OW as in ConvForward
	Y           Tensor // (N, ⌊OH/Pool⌋, ⌊OW/Pool⌋, O)

	Stride, Pad int
	Precision   Precision // of the products W·X
	ReLU        bool
	Pool        int // 1: none; more only with ReLU
	Eps         float32
}

// Conv returns the op's convolution, into Z.
func (op ConvBatchNormInference) Conv() ConvForward {
	return ConvForward{X: op.X, W: op.W, Bias: op.Bias, Y: op.Z, Stride: op.Stride, Pad: op.Pad, Precision: op.Precision}
}

// Kind implements [Op].
func (ConvBatchNormInference) Kind() string { return "ConvBatchNormInference" }

// Operands implements [Op].
func (op ConvBatchNormInference) Operands() []Operand {
	scratch := Operand{Name: "Z", Tensor: op.Z, Type: Float32, Access: Scratch}
	return []Operand{in("X", op.X), in("W", op.W), in("Bias", op.Bias).optional(), in("Gamma", op.Gamma), in("Beta", op.Beta),
		in("RunningMean", op.RunningMean), in("RunningVar", op.RunningVar), scratch, out("Y", op.Y)}
}

// Check implements [Op].
func (op ConvBatchNormInference) Check() error {
	if err := first(checkConv("X", op.X, op.W, "Z", op.Z, op.Stride, op.Pad), checkEps(op.Eps),
		checkPool("Z", op.Z, "Y", op.Y, op.Pool, op.Pool)); err != nil {
		return err
	}
	if op.Pool > 1 && !op.ReLU {
		return fmt.Errorf("a pool of %d×%d without ReLU: want both, or Pool 1", op.Pool, op.Pool)
	}
	o := op.W.Shape[0]
	return first(wantIfPresent("Bias", op.Bias, o), want("Gamma", op.Gamma, o), want("Beta", op.Beta, o),
		want("RunningMean", op.RunningMean, o), want("RunningVar", op.RunningVar, o))
}

// FLOPs implements [Op].
func (op ConvBatchNormInference) FLOPs() int { return op.Conv().FLOPs() + 4*op.Z.Len() }
