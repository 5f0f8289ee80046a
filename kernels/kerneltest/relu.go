package kerneltest

import (
	"fmt"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// ReLUForward is a case of [kernels.ReLUForward].
type ReLUForward struct {
	Shape   []int
	InPlace bool // Y and X are one tensor
}

// ReLUBackward is a case of [kernels.ReLUBackward].
type ReLUBackward struct {
	Shape   []int
	InPlace bool // DX and DY are one tensor
}

// String describes the case.
func (c ReLUForward) String() string { return shapeName(c.Shape, c.InPlace) }

// String describes the case.
func (c ReLUBackward) String() string { return shapeName(c.Shape, c.InPlace) }

// shapeName describes a shape, and whether the op works in place.
func shapeName(shape []int, inPlace bool) string {
	s := ""
	for i, d := range shape {
		if i > 0 {
			s += "x"
		}
		s += fmt.Sprint(d)
	}
	if inPlace {
		s += "_inplace"
	}
	return s
}

// Trial implements [Case]. The op only selects, so it is exact.
func (c ReLUForward) Trial() *Trial {
	t := newTrial()
	op := kernels.ReLUForward{X: t.floats("X", mixed, c.Shape...)}
	op.Y = op.X
	if !c.InPlace {
		op.Y = t.output("Y", c.Shape...)
	}
	return t.run(op)
}

// Trial implements [Case]. The op only selects, so it is exact.
func (c ReLUBackward) Trial() *Trial {
	t := newTrial()
	op := kernels.ReLUBackward{Y: t.floats("Y", mixed, c.Shape...), DY: t.floats("DY", mixed, c.Shape...)}
	op.DX = op.DY
	if !c.InPlace {
		op.DX = t.output("DX", c.Shape...)
	}
	return t.run(op)
}

// elementwiseShapes lie around vector and workgroup sizes; the last ones are
// the models' activations.
var elementwiseShapes = [][]int{
	{1}, {2}, {3}, {7}, {15}, {16}, {17}, {63}, {64}, {65}, {3, 5, 7}, {255}, {256}, {257}, {1023}, {1025}, {4099},
	{32, 256}, {64, 128}, {8, 28, 28, 32}, {64, 7, 7, 128},
}

func reluCases() []Case {
	var cases []Case
	for _, shape := range elementwiseShapes {
		for _, inPlace := range []bool{false, true} {
			cases = append(cases, ReLUForward{shape, inPlace}, ReLUBackward{shape, inPlace})
		}
	}
	return cases
}
