package kerneltest

import (
	"fmt"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// Conv is the shape of a convolution case.
type Conv struct {
	N, H, W, I  int // X
	O, KH, KW   int // weight, with I
	Stride, Pad int
	Integers    bool // exact data
}

// ConvForward is a case of [kernels.ConvForward].
type ConvForward struct {
	Conv
	Bias bool
}

// ConvBackwardInput is a case of [kernels.ConvBackwardInput].
type ConvBackwardInput struct{ Conv }

// ConvBackwardWeight is a case of [kernels.ConvBackwardWeight].
type ConvBackwardWeight struct{ Conv }

// String describes the shape: "8x28x28x1_32x3x3_stride1_pad1".
func (c Conv) String() string {
	s := fmt.Sprintf("%dx%dx%dx%d_%dx%dx%d_stride%d_pad%d", c.N, c.H, c.W, c.I, c.O, c.KH, c.KW, c.Stride, c.Pad)
	if c.Integers {
		s += "_integers"
	}
	return s
}

// String describes the case.
func (c ConvForward) String() string {
	if c.Bias {
		return c.Conv.String() + "_bias"
	}
	return c.Conv.String()
}

func (c Conv) fill() fill {
	if c.Integers {
		return integers
	}
	return mixed
}

func (c Conv) x() []int { return []int{c.N, c.H, c.W, c.I} }
func (c Conv) w() []int { return []int{c.O, c.KH, c.KW, c.I} }
func (c Conv) y() []int {
	return []int{c.N, kernels.ConvOutput(c.H, c.KH, c.Stride, c.Pad), kernels.ConvOutput(c.W, c.KW, c.Stride, c.Pad), c.O}
}

func (c Conv) newTrial() *Trial {
	t := newTrial()
	t.exact = c.Integers
	return t
}

// Trial implements [Case].
func (c ConvForward) Trial() *Trial {
	t := c.newTrial()
	op := kernels.ConvForward{Stride: c.Stride, Pad: c.Pad}
	op.X = t.floats("X", c.fill(), c.x()...)
	op.W = t.floats("W", c.fill(), c.w()...)
	if c.Bias {
		op.Bias = t.floats("Bias", c.fill(), c.O)
	}
	op.Y = t.output("Y", c.y()...)
	return t.run(op)
}

// Trial implements [Case].
func (c ConvBackwardInput) Trial() *Trial {
	t := c.newTrial()
	op := kernels.ConvBackwardInput{Stride: c.Stride, Pad: c.Pad}
	op.DY = t.floats("DY", c.fill(), c.y()...)
	op.W = t.floats("W", c.fill(), c.w()...)
	op.DX = t.output("DX", c.x()...)
	return t.run(op)
}

// Trial implements [Case].
func (c ConvBackwardWeight) Trial() *Trial {
	t := c.newTrial()
	op := kernels.ConvBackwardWeight{Stride: c.Stride, Pad: c.Pad}
	op.X = t.floats("X", c.fill(), c.x()...)
	op.DY = t.floats("DY", c.fill(), c.y()...)
	op.DW = t.output("DW", c.w()...)
	return t.run(op)
}

// convShapes covers kernel sizes, strides, pads, and channels at and around
// the tile sizes that implementations like; then the models' layers.
var convShapes = []Conv{
	{N: 1, H: 1, W: 1, I: 1, O: 1, KH: 1, KW: 1, Stride: 1},
	{N: 1, H: 3, W: 3, I: 1, O: 1, KH: 3, KW: 3, Stride: 1},
	{N: 2, H: 5, W: 7, I: 3, O: 2, KH: 1, KW: 1, Stride: 1},
	{N: 1, H: 4, W: 4, I: 2, O: 3, KH: 1, KW: 1, Stride: 1, Pad: 1},
	{N: 3, H: 7, W: 5, I: 2, O: 5, KH: 3, KW: 3, Stride: 1, Pad: 1},
	{N: 2, H: 9, W: 8, I: 4, O: 7, KH: 3, KW: 3, Stride: 1},
	{N: 2, H: 11, W: 13, I: 3, O: 4, KH: 3, KW: 3, Stride: 2, Pad: 1},
	{N: 2, H: 10, W: 11, I: 3, O: 4, KH: 3, KW: 3, Stride: 3, Pad: 2},
	{N: 2, H: 9, W: 9, I: 2, O: 3, KH: 1, KW: 1, Stride: 3}, // most of X is skipped
	{N: 1, H: 8, W: 8, I: 5, O: 3, KH: 5, KW: 5, Stride: 1, Pad: 2},
	{N: 2, H: 7, W: 7, I: 1, O: 6, KH: 5, KW: 5, Stride: 2, Pad: 2},
	{N: 2, H: 6, W: 9, I: 3, O: 5, KH: 2, KW: 4, Stride: 1},
	{N: 2, H: 9, W: 6, I: 3, O: 5, KH: 4, KW: 2, Stride: 2, Pad: 1},
	{N: 1, H: 5, W: 4, I: 2, O: 2, KH: 3, KW: 3, Stride: 1, Pad: 2}, // pad beyond "same"
	{N: 1, H: 2, W: 2, I: 2, O: 3, KH: 4, KW: 4, Stride: 1, Pad: 1}, // kernel larger than image
	{N: 2, H: 3, W: 40, I: 4, O: 8, KH: 3, KW: 3, Stride: 1, Pad: 1},
	{N: 1, H: 15, W: 15, I: 15, O: 15, KH: 3, KW: 3, Stride: 1, Pad: 1},
	{N: 1, H: 16, W: 16, I: 16, O: 16, KH: 3, KW: 3, Stride: 1, Pad: 1},
	{N: 1, H: 17, W: 17, I: 17, O: 17, KH: 3, KW: 3, Stride: 1, Pad: 1},
	{N: 3, H: 6, W: 5, I: 31, O: 33, KH: 3, KW: 3, Stride: 1, Pad: 1},
	{N: 2, H: 4, W: 7, I: 33, O: 31, KH: 3, KW: 3, Stride: 1, Pad: 1},
	{N: 2, H: 5, W: 5, I: 64, O: 63, KH: 3, KW: 3, Stride: 1, Pad: 1},
	{N: 1, H: 4, W: 3, I: 63, O: 65, KH: 3, KW: 3, Stride: 1, Pad: 1},
	{N: 1, H: 3, W: 3, I: 65, O: 129, KH: 1, KW: 1, Stride: 1},
	{N: 5, H: 13, W: 11, I: 8, O: 48, KH: 3, KW: 3, Stride: 2},
}

// modelConvs are the convolutions of fashioncnn and alternative.
func modelConvs(batch int) []Conv {
	return []Conv{
		{N: batch, H: 28, W: 28, I: 1, O: 32, KH: 3, KW: 3, Stride: 1, Pad: 1},
		{N: batch, H: 14, W: 14, I: 32, O: 64, KH: 3, KW: 3, Stride: 1, Pad: 1},
		{N: batch, H: 7, W: 7, I: 64, O: 128, KH: 3, KW: 3, Stride: 1, Pad: 1},
		{N: batch, H: 28, W: 28, I: 1, O: 16, KH: 5, KW: 5, Stride: 1, Pad: 2},
		{N: batch, H: 14, W: 14, I: 16, O: 32, KH: 5, KW: 5, Stride: 1, Pad: 2},
	}
}

func convCases() []Case {
	shapes := append([]Conv{}, convShapes...)
	shapes = append(shapes, modelConvs(1)...)
	shapes = append(shapes, modelConvs(8)...)
	var cases []Case
	add := func(c Conv, bias bool) {
		cases = append(cases, ConvForward{c, bias}, ConvBackwardInput{c}, ConvBackwardWeight{c})
	}
	for i, c := range shapes {
		add(c, i%2 == 0)
		c.Integers = true
		add(c, i%2 == 1)
	}
	// The full batch and the epoch's last one: exact data shows a lost term
	// however long the sum.
	for _, batch := range []int{32, 64} {
		for _, c := range modelConvs(batch)[:3] {
			c.Integers = true
			add(c, true)
		}
	}
	return cases
}
