package kernels

import "fmt"

// MaxPoolForward takes the maximum of each Size×Size window, without padding;
// it ignores trailing rows and columns that do not fill a window. Index holds
// the position of the maximum in its window (kh·Size + kw), the first one of
// equals; NaN counts as the largest, as in PyTorch.
type MaxPoolForward struct {
	X     Tensor // (N, H, W, C)
	Y     Tensor // (N, OH, OW, C), OH = ⌊(H − Size) / Stride⌋ + 1, OW likewise
	Index Tensor // (N, OH, OW, C) uint32, optional (evaluation does not need it)

	Size, Stride int
}

// MaxPoolBackward adds each gradient to the element that was its window's
// maximum; the other elements get 0.
type MaxPoolBackward struct {
	DY    Tensor // (N, OH, OW, C)
	Index Tensor // (N, OH, OW, C) uint32
	DX    Tensor // (N, H, W, C)

	Size, Stride int
}

// Kind implements [Op].
func (MaxPoolForward) Kind() string { return "MaxPoolForward" }

// Kind implements [Op].
func (MaxPoolBackward) Kind() string { return "MaxPoolBackward" }

// Operands implements [Op].
func (op MaxPoolForward) Operands() []Operand {
	return []Operand{in("X", op.X), out("Y", op.Y), out("Index", op.Index).of(Uint32).optional()}
}

// Operands implements [Op].
func (op MaxPoolBackward) Operands() []Operand {
	return []Operand{in("DY", op.DY), in("Index", op.Index).of(Uint32), out("DX", op.DX)}
}

// Check implements [Op].
func (op MaxPoolForward) Check() error {
	if err := checkPool("X", op.X, "Y", op.Y, op.Size, op.Stride); err != nil {
		return err
	}
	return wantIfPresent("Index", op.Index, op.Y.Shape...)
}

// Check implements [Op].
func (op MaxPoolBackward) Check() error {
	if err := checkPool("DX", op.DX, "DY", op.DY, op.Size, op.Stride); err != nil {
		return err
	}
	return want("Index", op.Index, op.DY.Shape...)
}

func checkPool(xName string, x Tensor, yName string, y Tensor, size, stride int) error {
	if err := first(rank(xName, x, 4), rank(yName, y, 4)); err != nil {
		return err
	}
	if size < 1 || stride < 1 || x.Shape[1] < size || x.Shape[2] < size {
		return fmt.Errorf("size %d, stride %d: want both positive and a window inside %s %v", size, stride, xName, x.Shape)
	}
	return want(yName, y, x.Shape[0], ConvOutput(x.Shape[1], size, stride, 0),
		ConvOutput(x.Shape[2], size, stride, 0), x.Shape[3])
}

// FLOPs implements [Op].
func (op MaxPoolForward) FLOPs() int { return op.Y.Len() * op.Size * op.Size }

// FLOPs implements [Op].
func (op MaxPoolBackward) FLOPs() int { return op.DY.Len() }
