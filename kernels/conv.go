package kernels

import "fmt"

// ConvForward is a 2-d convolution (cross-correlation, as in PyTorch's
// conv2d) over channels-last data, with a square stride and zero padding:
//
//	Y[n,oh,ow,o] = Bias[o] + Σ_{kh,kw,i} W[o,kh,kw,i] · X[n, oh·Stride+kh−Pad, ow·Stride+kw−Pad, i]
//
// On request it also computes the statistics of Y for the batch-norm after it,
// which saves a pass over Y. With R = N·OH·OW rows:
//
//	Mean[o] = Σ_r Y[r,o] / R
//	Var[o]  = Σ_r (Y[r,o] − Mean[o])² / R           (by a stable method)
//
// A backend may multiply by the zeros of the padding, so NaN and Inf may also reach
// outputs whose taps lie there.
type ConvForward struct {
	X    Tensor // (N, H, W, I)
	W    Tensor // (O, KH, KW, I)
	Bias Tensor // (O), optional
	Y    Tensor // (N, OH, OW, O), OH = ⌊(H + 2·Pad − KH) / Stride⌋ + 1, OW likewise
	Mean Tensor // (O), optional
	Var  Tensor // (O), present if Mean is

	Stride, Pad int
	Precision   Precision // of the products W·X
}

// ConvBackwardInput is the gradient of [ConvForward] with respect to X:
//
//	DX[n,h,w,i] = Σ_{o,kh,kw} DY[n,oh,ow,o] · W[o,kh,kw,i] over all oh·Stride+kh−Pad = h, ow·Stride+kw−Pad = w
type ConvBackwardInput struct {
	DY Tensor // (N, OH, OW, O)
	W  Tensor // (O, KH, KW, I)
	DX Tensor // (N, H, W, I)

	Stride, Pad int
	Precision   Precision // of the products DY·W
}

// ConvBackwardWeight is the gradient of [ConvForward] with respect to W:
//
//	DW[o,kh,kw,i] = Σ_{n,oh,ow} DY[n,oh,ow,o] · X[n, oh·Stride+kh−Pad, ow·Stride+kw−Pad, i]
//
// and, on request, with respect to Bias, the [ColumnSum] of DY:
//
//	DBias[o] = Σ_{n,oh,ow} DY[n,oh,ow,o]
type ConvBackwardWeight struct {
	X     Tensor // (N, H, W, I)
	DY    Tensor // (N, OH, OW, O)
	DW    Tensor // (O, KH, KW, I)
	DBias Tensor // (O), optional

	Stride, Pad int
	Precision   Precision // of the products DY·X
}

// Kind implements [Op].
func (ConvForward) Kind() string { return "ConvForward" }

// Kind implements [Op].
func (ConvBackwardInput) Kind() string { return "ConvBackwardInput" }

// Kind implements [Op].
func (ConvBackwardWeight) Kind() string { return "ConvBackwardWeight" }

// Operands implements [Op].
func (op ConvForward) Operands() []Operand {
	return []Operand{in("X", op.X), in("W", op.W), in("Bias", op.Bias).optional(), out("Y", op.Y),
		out("Mean", op.Mean).optional(), out("Var", op.Var).optional()}
}

// Operands implements [Op].
func (op ConvBackwardInput) Operands() []Operand {
	return []Operand{in("DY", op.DY), in("W", op.W), out("DX", op.DX)}
}

// Operands implements [Op].
func (op ConvBackwardWeight) Operands() []Operand {
	return []Operand{in("X", op.X), in("DY", op.DY), out("DW", op.DW), out("DBias", op.DBias).optional()}
}

// Check implements [Op].
func (op ConvForward) Check() error {
	if err := checkConv("X", op.X, op.W, "Y", op.Y, op.Stride, op.Pad); err != nil {
		return err
	}
	if op.Mean.Absent() != op.Var.Absent() {
		return fmt.Errorf("outputs Mean (%v) and Var (%v): want both or neither", op.Mean, op.Var)
	}
	o := op.W.Shape[0]
	return first(wantIfPresent("Bias", op.Bias, o), wantIfPresent("Mean", op.Mean, o), wantIfPresent("Var", op.Var, o))
}

// Check implements [Op].
func (op ConvBackwardInput) Check() error {
	return checkConv("DX", op.DX, op.W, "DY", op.DY, op.Stride, op.Pad)
}

// Check implements [Op].
func (op ConvBackwardWeight) Check() error {
	if err := checkConv("X", op.X, op.DW, "DY", op.DY, op.Stride, op.Pad); err != nil {
		return err
	}
	return wantIfPresent("DBias", op.DBias, op.DW.Shape[0])
}

// FLOPs implements [Op].
func (op ConvForward) FLOPs() int { return convFLOPs(op.Y, op.W) }

// FLOPs implements [Op].
func (op ConvBackwardInput) FLOPs() int { return convFLOPs(op.DY, op.W) }

// FLOPs implements [Op].
func (op ConvBackwardWeight) FLOPs() int { return convFLOPs(op.DY, op.DW) }

// convFLOPs counts a multiplication and an addition for each output element
// (N·OH·OW·O) and each of its KH·KW·I taps.
func convFLOPs(y, w Tensor) int { return 2 * y.Len() * w.Len() / w.Shape[0] }

// ConvOutput returns the extent of a convolution's or pooling's output along
// one axis: ⌊(in + 2·pad − kernel) / stride⌋ + 1.
func ConvOutput(in, kernel, stride, pad int) int { return (in+2*pad-kernel)/stride + 1 }

// checkConv checks x (N, H, W, I), w (O, KH, KW, I) and y (N, OH, OW, O), or
// their gradients.
func checkConv(xName string, x, w Tensor, yName string, y Tensor, stride, pad int) error {
	if err := first(rank(xName, x, 4), rank("W", w, 4), rank(yName, y, 4)); err != nil {
		return err
	}
	if stride < 1 || pad < 0 {
		return fmt.Errorf("stride %d, pad %d: want a positive stride and a pad of at least 0", stride, pad)
	}
	o, kh, kw := w.Shape[0], w.Shape[1], w.Shape[2]
	n, h, wd := x.Shape[0], x.Shape[1], x.Shape[2]
	if h+2*pad < kh || wd+2*pad < kw {
		return fmt.Errorf("%s %v padded by %d is smaller than the %d×%d kernel", xName, x.Shape, pad, kh, kw)
	}
	return first(
		want("W", w, o, kh, kw, x.Shape[3]),
		want(yName, y, n, ConvOutput(h, kh, stride, pad), ConvOutput(wd, kw, stride, pad), o),
	)
}
