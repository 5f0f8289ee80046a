package kerneltest

import (
	"math"
	"math/rand/v2"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// GELUForward is a case of [kernels.GELUForward].
type GELUForward struct {
	Shape   []int
	InPlace bool // Y and X are one tensor
}

// GELUBackward is a case of [kernels.GELUBackward].
type GELUBackward struct {
	Shape   []int
	InPlace bool // DX and DY are one tensor
}

// String describes the case.
func (c GELUForward) String() string { return shapeName(c.Shape, c.InPlace) }

// String describes the case.
func (c GELUBackward) String() string { return shapeName(c.Shape, c.InPlace) }

// activationInput covers the bend around 0, both tails, and values whose
// exponential leaves the range of float32.
func activationInput(r *rand.Rand, i int) float32 {
	if r.IntN(2) == 0 {
		return float32(r.NormFloat64() * 10)
	}
	return mixed(r, i)
}

// Trial implements [Case].
func (c GELUForward) Trial() *Trial {
	t := newTrial()
	op := kernels.GELUForward{X: t.floats("X", activationInput, c.Shape...)}
	op.Y = op.X
	if !c.InPlace {
		op.Y = t.output("Y", c.Shape...)
	}
	return t.run(op)
}

// Trial implements [Case].
func (c GELUBackward) Trial() *Trial {
	t := newTrial()
	op := kernels.GELUBackward{X: t.floats("X", activationInput, c.Shape...), DY: t.floats("DY", mixed, c.Shape...)}
	op.DX = op.DY
	if !c.InPlace {
		op.DX = t.output("DX", c.Shape...)
	}
	return t.run(op)
}

// expUlps is the relative error of exp(−x), in units of u: Vulkan allows 3 +
// 2·|x| units in the last place ("Precision of individual operations"), each of
// them 2u.
func expUlps(x float64) float64 { return 6 + 4*math.Abs(x) }

// cdfError is the error allowed in Φ: half of the error function's 1.5e-7, the
// exponential's error, which is at most 6·u/2 at x = 0 and less elsewhere, and
// four roundings.
const cdfError = .75e-7 + 8*u

func geluForwardBounds(kernels.GELUForward) map[string]Bound {
	return map[string]Bound{"Y": func(r *Results) []float64 {
		bound := make([]float64, len(r.In["X"]))
		for i, x := range r.In["X"] {
			bound[i] = cdfError*math.Abs(x) + 2*u*math.Abs(r.Ref["Y"][i]) + tiny
		}
		return bound
	}}
}

// geluBackwardBounds adds the error of x·φ(x): three roundings and the error of
// the exponential.
func geluBackwardBounds(kernels.GELUBackward) map[string]Bound {
	return map[string]Bound{"DX": func(r *Results) []float64 {
		bound := make([]float64, len(r.In["X"]))
		for i, x := range r.In["X"] {
			slope := math.Abs(x) * math.Exp(-x*x/2) / math.Sqrt(2*math.Pi)
			bound[i] = math.Abs(r.In["DY"][i])*(cdfError+slope*(expUlps(x*x/2)+3)*u) + 2*u*math.Abs(r.Ref["DX"][i]) + tiny
		}
		return bound
	}}
}

func geluCases() []Case {
	var cases []Case
	for _, shape := range elementwiseShapes {
		for _, inPlace := range []bool{false, true} {
			cases = append(cases, GELUForward{shape, inPlace}, GELUBackward{shape, inPlace})
		}
	}
	return cases
}
