package kernels

import "fmt"

// AvgPoolForward takes the mean of each KH×KW window, without padding; rows
// and columns that do not fill a window are left out. A window as large as the
// image is global average pooling.
//
//	Y[n,oh,ow,c] = Σ_{kh,kw} X[n, oh·Stride+kh, ow·Stride+kw, c] / (KH·KW)
type AvgPoolForward struct {
	X Tensor // (N, H, W, C)
	Y Tensor // (N, OH, OW, C), OH = ⌊(H − KH) / Stride⌋ + 1, OW alike

	KH, KW, Stride int
}

// AvgPoolBackward is the gradient of [AvgPoolForward]: each element of X gets
// 1/(KH·KW) of the gradient of every window that covers it.
type AvgPoolBackward struct {
	DY Tensor // (N, OH, OW, C)
	DX Tensor // (N, H, W, C)

	KH, KW, Stride int
}

// Kind implements [Op].
func (AvgPoolForward) Kind() string { return "AvgPoolForward" }

// Kind implements [Op].
func (AvgPoolBackward) Kind() string { return "AvgPoolBackward" }

// Operands implements [Op].
func (op AvgPoolForward) Operands() []Operand { return []Operand{in("X", op.X), out("Y", op.Y)} }

// Operands implements [Op].
func (op AvgPoolBackward) Operands() []Operand { return []Operand{in("DY", op.DY), out("DX", op.DX)} }

// Check implements [Op].
func (op AvgPoolForward) Check() error {
	return checkAvgPool("X", op.X, "Y", op.Y, op.KH, op.KW, op.Stride)
}

// Check implements [Op].
func (op AvgPoolBackward) Check() error {
	return checkAvgPool("DX", op.DX, "DY", op.DY, op.KH, op.KW, op.Stride)
}

func checkAvgPool(xName string, x Tensor, yName string, y Tensor, kh, kw, stride int) error {
	if err := first(rank(xName, x, 4), rank(yName, y, 4)); err != nil {
		return err
	}
	if kh < 1 || kw < 1 || stride < 1 || x.Shape[1] < kh || x.Shape[2] < kw {
		return fmt.Errorf("window %d×%d, stride %d: want all positive and a window inside %s %v", kh, kw, stride, xName, x.Shape)
	}
	return want(yName, y, x.Shape[0], ConvOutput(x.Shape[1], kh, stride, 0), ConvOutput(x.Shape[2], kw, stride, 0), x.Shape[3])
}

// FLOPs implements [Op].
func (op AvgPoolForward) FLOPs() int { return op.Y.Len() * op.KH * op.KW }

// FLOPs implements [Op].
func (op AvgPoolBackward) FLOPs() int { return op.DY.Len() * op.KH * op.KW }
