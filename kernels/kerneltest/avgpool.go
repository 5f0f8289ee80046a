package kerneltest

import (
	"fmt"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// AvgPool is the shape of an average-pooling case.
type AvgPool struct {
	N, H, W, C     int
	KH, KW, Stride int
}

// AvgPoolForward is a case of [kernels.AvgPoolForward].
type AvgPoolForward struct{ AvgPool }

// AvgPoolBackward is a case of [kernels.AvgPoolBackward].
type AvgPoolBackward struct{ AvgPool }

// String describes the shape: "2x7x7x3_window3x2_stride2".
func (c AvgPool) String() string {
	return fmt.Sprintf("%dx%dx%dx%d_window%dx%d_stride%d", c.N, c.H, c.W, c.C, c.KH, c.KW, c.Stride)
}

func (c AvgPool) x() []int { return []int{c.N, c.H, c.W, c.C} }
func (c AvgPool) y() []int {
	return []int{c.N, kernels.ConvOutput(c.H, c.KH, c.Stride, 0), kernels.ConvOutput(c.W, c.KW, c.Stride, 0), c.C}
}

// Trial implements [Case].
func (c AvgPoolForward) Trial() *Trial {
	t := newTrial()
	return t.run(kernels.AvgPoolForward{X: t.floats("X", mixed, c.x()...), Y: t.output("Y", c.y()...),
		KH: c.KH, KW: c.KW, Stride: c.Stride})
}

// Trial implements [Case].
func (c AvgPoolBackward) Trial() *Trial {
	t := newTrial()
	return t.run(kernels.AvgPoolBackward{DY: t.floats("DY", mixed, c.y()...), DX: t.output("DX", c.x()...),
		KH: c.KH, KW: c.KW, Stride: c.Stride})
}

// avgPoolBackwardBounds: an element sums the gradients of the windows it
// lies in, at most ⌈KH/Stride⌉·⌈KW/Stride⌉ of them.
func avgPoolBackwardBounds(op kernels.AvgPoolBackward) map[string]Bound {
	covering := func(k int) int { return (k + op.Stride - 1) / op.Stride }
	return map[string]Bound{"DX": sumBound("DX", covering(op.KH)*covering(op.KW))}
}

func avgPoolCases() []Case {
	var cases []Case
	for _, s := range []AvgPool{
		{N: 1, H: 1, W: 1, C: 1, KH: 1, KW: 1, Stride: 1},
		{N: 1, H: 2, W: 2, C: 1, KH: 2, KW: 2, Stride: 2},
		{N: 3, H: 7, W: 5, C: 5, KH: 2, KW: 2, Stride: 2}, // the last row and column do not fill a window
		{N: 2, H: 9, W: 7, C: 17, KH: 3, KW: 3, Stride: 2},
		{N: 2, H: 8, W: 8, C: 33, KH: 3, KW: 3, Stride: 1},
		{N: 1, H: 9, W: 10, C: 4, KH: 2, KW: 2, Stride: 3}, // some elements lie in no window
		{N: 2, H: 5, W: 7, C: 3, KH: 5, KW: 7, Stride: 1},  // global
		{N: 3, H: 4, W: 1, C: 65, KH: 4, KW: 1, Stride: 1}, // global, a column
		{N: 64, H: 7, W: 7, C: 64, KH: 7, KW: 7, Stride: 1},
		{N: 65, H: 8, W: 8, C: 128, KH: 8, KW: 8, Stride: 8},
		{N: 32, H: 14, W: 14, C: 32, KH: 2, KW: 2, Stride: 2},
	} {
		cases = append(cases, AvgPoolForward{s}, AvgPoolBackward{s})
	}
	return cases
}
