package kerneltest

import "github.com/fmnist-gpu/fmnist-gpu/kernels"

// Add is a case of [kernels.Add]. A sum of two numbers is rounded once in any
// precision, so it is exact.
type Add struct {
	Shape []int
	ReLU  bool
	Into  string // which operand Y is: "A", "B", or "" for neither
}

// String describes the case.
func (c Add) String() string {
	s := shapeName(c.Shape, false)
	if c.ReLU {
		s += "_relu"
	}
	if c.Into != "" {
		s += "_into" + c.Into
	}
	return s
}

// Trial implements [Case].
func (c Add) Trial() *Trial {
	t := newTrial()
	op := kernels.Add{A: t.floats("A", mixed, c.Shape...), B: t.floats("B", mixed, c.Shape...), ReLU: c.ReLU}
	switch c.Into {
	case "A":
		op.Y = op.A
	case "B":
		op.Y = op.B
	default:
		op.Y = t.output("Y", c.Shape...)
	}
	return t.run(op)
}

func addCases() []Case {
	var cases []Case
	for i, shape := range elementwiseShapes {
		for k, into := range []string{"", "A", "B"} {
			cases = append(cases, Add{shape, (i+k)%2 == 0, into})
		}
	}
	return cases
}
