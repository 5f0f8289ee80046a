package kerneltest

import (
	"math"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// SiLUForward is a case of [kernels.SiLUForward].
type SiLUForward struct {
	Shape   []int
	InPlace bool // Y and X are one tensor
}

// SiLUBackward is a case of [kernels.SiLUBackward].
type SiLUBackward struct {
	Shape   []int
	InPlace bool // DX and DY are one tensor
}

// String describes the case.
func (c SiLUForward) String() string { return shapeName(c.Shape, c.InPlace) }

// String describes the case.
func (c SiLUBackward) String() string { return shapeName(c.Shape, c.InPlace) }

// Trial implements [Case].
func (c SiLUForward) Trial() *Trial {
	t := newTrial()
	op := kernels.SiLUForward{X: t.floats("X", activationInput, c.Shape...)}
	op.Y = op.X
	if !c.InPlace {
		op.Y = t.output("Y", c.Shape...)
	}
	return t.run(op)
}

// Trial implements [Case].
func (c SiLUBackward) Trial() *Trial {
	t := newTrial()
	op := kernels.SiLUBackward{X: t.floats("X", activationInput, c.Shape...), DY: t.floats("DY", mixed, c.Shape...)}
	op.DX = op.DY
	if !c.InPlace {
		op.DX = t.output("DX", c.Shape...)
	}
	return t.run(op)
}

// sigmoidError returns the relative error of σ(x), from a sum, a division with
// 2.5 units in the last place, a product, and exp(−|x|), whose relative error
// is weighted by 1 − σ(x).
func sigmoidError(x float64) float64 { return (8 + expUlps(x)*sigmoid(-x)) * u }

// flushed is the additional error allowed in exp(−|x|): a subnormal result may
// become 0.
const flushed = 0x1p-125

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

func siluForwardBounds(kernels.SiLUForward) map[string]Bound {
	return map[string]Bound{"Y": func(r *Results) []float64 {
		bound := make([]float64, len(r.In["X"]))
		for i, x := range r.In["X"] {
			bound[i] = math.Abs(r.Ref["Y"][i])*(sigmoidError(x)+2*u) + math.Abs(x)*flushed + tiny
		}
		return bound
	}}
}

// siluBackwardBounds propagates the errors of σ(x) and of σ(−x) = 1 − σ(x) through
// DY·σ(x)·(1 + x·σ(−x)), which rounds four times.
func siluBackwardBounds(kernels.SiLUBackward) map[string]Bound {
	return map[string]Bound{"DX": func(r *Results) []float64 {
		bound := make([]float64, len(r.In["X"]))
		for i, x := range r.In["X"] {
			slope := math.Abs(x) * sigmoid(-x)
			relative := (1+slope)*(sigmoidError(x)+4*u) + slope*sigmoidError(-x)
			bound[i] = math.Abs(r.In["DY"][i])*(sigmoid(x)*relative+(1+math.Abs(x))*flushed) + tiny
		}
		return bound
	}}
}

func siluCases() []Case {
	var cases []Case
	for _, shape := range elementwiseShapes {
		for _, inPlace := range []bool{false, true} {
			cases = append(cases, SiLUForward{shape, inPlace}, SiLUBackward{shape, inPlace})
		}
	}
	return cases
}
