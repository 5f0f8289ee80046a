package kerneltest

import (
	"fmt"
	"maps"
	"math"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// Conv is the shape of a convolution case.
type Conv struct {
	N, H, W, I  int // X
	O, KH, KW   int // weight, with I
	Stride, Pad int
	Integers    bool // exact data
	Precision   kernels.Precision
}

// ConvForward is a case of [kernels.ConvForward].
type ConvForward struct {
	Conv
	Bias       bool
	Statistics bool
	LargeMean  bool // Y's mean is thousands of times its deviation; instead of Integers, with Bias
}

// ConvBackwardInput is a case of [kernels.ConvBackwardInput].
type ConvBackwardInput struct{ Conv }

// ConvBackwardWeight is a case of [kernels.ConvBackwardWeight].
type ConvBackwardWeight struct {
	Conv
	Bias bool
}

// String describes the shape: "8x28x28x1_32x3x3_stride1_pad1".
func (c Conv) String() string {
	s := fmt.Sprintf("%dx%dx%dx%d_%dx%dx%d_stride%d_pad%d", c.N, c.H, c.W, c.I, c.O, c.KH, c.KW, c.Stride, c.Pad)
	if c.Integers {
		s += "_integers"
	}
	if c.Precision == kernels.Mixed {
		s += "_mixed"
	}
	return s
}

// String describes the case.
func (c ConvForward) String() string {
	s := c.Conv.String()
	if c.Bias {
		s += "_bias"
	}
	if c.Statistics {
		s += "_statistics"
	}
	if c.LargeMean {
		s += "_largemean"
	}
	return s
}

// String describes the case.
func (c ConvBackwardWeight) String() string {
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

// newTrial starts a trial, naming the outputs that integers make exact.
func (c Conv) newTrial(exact ...string) *Trial {
	t := newTrial()
	if c.Integers {
		t.exact = exact
	}
	return t
}

// Trial implements [Case].
func (c ConvForward) Trial() *Trial {
	t := c.newTrial("Y")
	op := kernels.ConvForward{Stride: c.Stride, Pad: c.Pad, Precision: c.Precision}
	x, w, bias := c.fill(), c.fill(), c.fill()
	if c.LargeMean {
		x, w, bias = normal(0, 1), normal(0, 0.1/math.Sqrt(float64(c.KH*c.KW*c.I))), normal(1000, 1)
	}
	op.X = t.floats("X", x, c.x()...)
	op.W = t.floats("W", w, c.w()...)
	if c.Bias {
		op.Bias = t.floats("Bias", bias, c.O)
	}
	op.Y = t.output("Y", c.y()...)
	if c.Statistics {
		op.Mean = t.output("Mean", c.O)
		op.Var = t.output("Var", c.O)
	}
	return t.run(op)
}

func convForwardBounds(op kernels.ConvForward) map[string]Bound {
	rows, ch := op.Y.Matrix()
	statistics := func(pick func(errMean, errVar float64) float64) Bound {
		return func(r *Results) []float64 {
			bound := make([]float64, ch)
			for j := range bound {
				bound[j] = pick(statisticsErrors(rows, r.Ref["Mean"][j], r.Ref["Var"][j]))
			}
			return bound
		}
	}
	return map[string]Bound{
		"Y":    winogradForward(op, sumBound("Y", op.W.Len()/op.W.Dim(0)+1)), // the bias is a term too
		"Mean": statistics(func(errMean, _ float64) float64 { return errMean }),
		"Var":  statistics(func(_, errVar float64) float64 { return errVar }),
	}
}

// withStatisticsOf returns r with Mean and Var computed from y instead of the
// reference's. The statistics that a convolution returns are those of its own
// Y, so they are compared with it: errors in Y do not count as theirs.
func withStatisticsOf(y []float64, channels int, r *Results) *Results {
	own := *r
	own.Ref = maps.Clone(r.Ref)
	own.Ref["Mean"], own.Ref["Var"] = moments(y, channels)
	return &own
}

// Trial implements [Case].
func (c ConvBackwardInput) Trial() *Trial {
	t := c.newTrial("DX")
	op := kernels.ConvBackwardInput{Stride: c.Stride, Pad: c.Pad, Precision: c.Precision}
	op.DY = t.floats("DY", c.fill(), c.y()...)
	op.W = t.floats("W", c.fill(), c.w()...)
	op.DX = t.output("DX", c.x()...)
	return t.run(op)
}

// Trial implements [Case].
func (c ConvBackwardWeight) Trial() *Trial {
	t := c.newTrial("DW", "DBias")
	op := kernels.ConvBackwardWeight{Stride: c.Stride, Pad: c.Pad, Precision: c.Precision}
	op.X = t.floats("X", c.fill(), c.x()...)
	op.DY = t.floats("DY", c.fill(), c.y()...)
	op.DW = t.output("DW", c.w()...)
	if c.Bias {
		op.DBias = t.output("DBias", c.O)
	}
	return t.run(op)
}

// convShapes covers kernel sizes, strides, padding, and channels at and around
// the tile sizes that implementations like; then the models' layers.
var convShapes = []Conv{
	{N: 1, H: 1, W: 1, I: 1, O: 1, KH: 1, KW: 1, Stride: 1},
	{N: 1, H: 3, W: 3, I: 1, O: 1, KH: 3, KW: 3, Stride: 1},
	{N: 2, H: 5, W: 7, I: 3, O: 2, KH: 1, KW: 1, Stride: 1},
	{N: 1, H: 4, W: 4, I: 2, O: 3, KH: 1, KW: 1, Stride: 1, Pad: 1},
	{N: 3, H: 7, W: 5, I: 2, O: 5, KH: 3, KW: 3, Stride: 1, Pad: 1},
	{N: 2, H: 9, W: 11, I: 1, O: 48, KH: 3, KW: 3, Stride: 1, Pad: 1}, // one channel
	{N: 3, H: 5, W: 7, I: 1, O: 16, KH: 3, KW: 3, Stride: 1},
	{N: 2, H: 6, W: 3, I: 1, O: 16, KH: 3, KW: 3, Stride: 1, Pad: 1},
	{N: 2, H: 9, W: 8, I: 4, O: 7, KH: 3, KW: 3, Stride: 1},
	{N: 2, H: 11, W: 13, I: 3, O: 4, KH: 3, KW: 3, Stride: 2, Pad: 1},
	{N: 2, H: 10, W: 11, I: 3, O: 4, KH: 3, KW: 3, Stride: 3, Pad: 2},
	{N: 2, H: 9, W: 9, I: 2, O: 3, KH: 1, KW: 1, Stride: 3}, // most of X is skipped
	{N: 2, H: 7, W: 8, I: 16, O: 32, KH: 1, KW: 1, Stride: 2},
	{N: 2, H: 14, W: 13, I: 16, O: 32, KH: 3, KW: 3, Stride: 2, Pad: 1},
	{N: 2, H: 8, W: 9, I: 3, O: 4, KH: 2, KW: 1, Stride: 3, Pad: 1}, // pad beyond "same"
	{N: 1, H: 5, W: 12, I: 20, O: 17, KH: 4, KW: 5, Stride: 3, Pad: 1},
	{N: 2, H: 1, W: 2, I: 3, O: 2, KH: 2, KW: 3, Stride: 3, Pad: 1}, // stride beyond the image
	{N: 1, H: 8, W: 8, I: 5, O: 3, KH: 5, KW: 5, Stride: 1, Pad: 2},
	{N: 2, H: 7, W: 7, I: 1, O: 6, KH: 5, KW: 5, Stride: 2, Pad: 2},
	{N: 2, H: 6, W: 9, I: 3, O: 5, KH: 2, KW: 4, Stride: 1},
	{N: 2, H: 9, W: 6, I: 3, O: 5, KH: 4, KW: 2, Stride: 2, Pad: 1},
	{N: 1, H: 5, W: 4, I: 2, O: 2, KH: 3, KW: 3, Stride: 1, Pad: 2}, // pad beyond "same"
	{N: 1, H: 2, W: 2, I: 2, O: 3, KH: 4, KW: 4, Stride: 1, Pad: 1}, // kernel larger than the image
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
	{N: 4, H: 7, W: 7, I: 32, O: 32, KH: 3, KW: 3, Stride: 1, Pad: 1}, // half tiles of 2×2 pixels along both axes
	{N: 2, H: 9, W: 12, I: 48, O: 32, KH: 3, KW: 3, Stride: 1, Pad: 1},
	{N: 3, H: 8, W: 7, I: 32, O: 80, KH: 3, KW: 3, Stride: 1, Pad: 1},
	{N: 50, H: 2, W: 2, I: 32, O: 32, KH: 3, KW: 3, Stride: 1, Pad: 1},
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
	add := func(c Conv, bias, statistics bool) {
		cases = append(cases, ConvForward{Conv: c, Bias: bias, Statistics: statistics}, ConvBackwardInput{c}, ConvBackwardWeight{c, bias})
	}
	for i, c := range shapes {
		bias, statistics := i%2 == 0, i%4 < 2
		add(c, bias, statistics)
		c.Integers = true
		add(c, !bias, !statistics)
		c.Precision = kernels.Mixed
		add(c, bias, !statistics)
		c.Integers = false
		add(c, !bias, statistics)
	}
	// Test the small shapes also without Bias where they had it, and with a large mean.
	for i, c := range convShapes {
		cases = append(cases, ConvForward{Conv: c, Bias: i%2 == 0, Statistics: i%4 >= 2},
			ConvForward{Conv: c, Bias: true, Statistics: true, LargeMean: true})
	}
	// The full batch and the epoch's last one, as the models run them. Exact
	// data shows a lost term, however long the sum.
	for _, batch := range []int{32, 64} {
		for _, c := range modelConvs(batch)[:3] {
			c.Integers = true
			add(c, true, true)
			c.Precision = kernels.Mixed
			add(c, true, true)
		}
	}
	return append(cases, ConvForward{Conv: modelConvs(8)[0], Bias: true, Statistics: true, LargeMean: true},
		// One value among the first rows of channel 0 is far larger than all others.
		ConvForward{Conv: Conv{N: 1, H: 5, W: 8, I: 2, O: 8, KH: 4, KW: 4, Stride: 1, Pad: 1}, Bias: true, Statistics: true})
}
