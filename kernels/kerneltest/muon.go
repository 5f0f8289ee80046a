package kerneltest

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// MuonMomentum is a case of [kernels.MuonMomentum].
type MuonMomentum struct {
	Len      int
	Momentum float64
}

// MuonNormalize is a case of [kernels.MuonNormalize] of N rows. Small matrices have a
// norm below the least one.
type MuonNormalize struct {
	N     int
	Small bool
}

// NewtonSchulz is a case of [kernels.NewtonSchulz] of N rows.
type NewtonSchulz struct{ N int }

// MuonStep is a case of [kernels.MuonStep]: Steps steps in the same direction; the
// state advances between them.
type MuonStep struct {
	Len         int
	WeightDecay float32
	Slot, Steps int
}

// String describes the case.
func (c MuonMomentum) String() string { return fmt.Sprintf("%d_momentum%v", c.Len, c.Momentum) }

// String describes the case.
func (c MuonNormalize) String() string {
	if c.Small {
		return fmt.Sprintf("%d_small", c.N)
	}
	return fmt.Sprint(c.N)
}

// String describes the case.
func (c NewtonSchulz) String() string { return fmt.Sprint(c.N) }

// String describes the case.
func (c MuonStep) String() string {
	return fmt.Sprintf("%d_decay%v_slot%d_steps%d", c.Len, c.WeightDecay, c.Slot, c.Steps)
}

// Trial implements [Case].
func (c MuonMomentum) Trial() *Trial {
	t := newTrial()
	return t.run(kernels.MuonMomentum{Grad: t.floats("Grad", mixed, c.Len), M: t.floats("M", normal(0, 1), c.Len), Momentum: c.Momentum})
}

// Trial implements [Case].
func (c MuonNormalize) Trial() *Trial {
	t := newTrial()
	scale := float32(3)
	if c.Small {
		scale = 1e-18 // a trace below the least norm's square of 1e-14
	}
	gram := func(r *rand.Rand, i int) float32 {
		if i%(c.N+1) == 0 {
			return scale * float32(.1+r.Float64())
		}
		return scale * float32(r.NormFloat64())
	}
	return t.run(kernels.MuonNormalize{Gram: t.floats("Gram", gram, c.N, c.N), A: t.output("A", c.N, c.N), Norm: t.output("Norm", 1)})
}

// Trial implements [Case].
func (c NewtonSchulz) Trial() *Trial {
	t := newTrial()
	return t.run(kernels.NewtonSchulz{A: t.floats("A", mixed, c.N, c.N), P: t.output("P", c.N, c.N), Q: t.output("Q", c.N, c.N)})
}

// Trial implements [Case].
func (c MuonStep) Trial() *Trial {
	t := newTrial()
	t.steps = c.Steps
	op := kernels.MuonStep{Param: t.floats("Param", normal(0, 0.1), c.Len), Direction: t.floats("Direction", mixed, c.Len),
		Norm: t.floats("Norm", uniform(.1, 10), 1), Scale: 5, WeightDecay: c.WeightDecay}
	op.State = t.state(kernels.State{Slot: uint32(c.Slot), BiasCorrection1: 1, BiasCorrection2: 1})
	op.LearningRates = rates(t, c.Slot+c.Steps+1)
	return t.run(op, kernels.AdvanceState{State: op.State, Batch: 64})
}

// muonMomentumBounds bounds the errors of two steps of a moving average, each of which
// rounds a difference, its product and a sum; the second inherits the first's.
func muonMomentumBounds(op kernels.MuonMomentum) map[string]Bound {
	errors := func(r *Results, i int) (m, grad float64) {
		g, before, after := math.Abs(r.In["Grad"][i]), math.Abs(r.In["M"][i]), math.Abs(r.Ref["M"][i])
		m = 4*u*((1-op.Momentum)*(g+before)+before) + tiny
		return m, m + 4*u*(op.Momentum*(after+g)+g)
	}
	bound := func(of func(m, grad float64) float64) Bound {
		return func(r *Results) []float64 {
			b := make([]float64, op.M.Len())
			for i := range b {
				b[i] = of(errors(r, i))
			}
			return b
		}
	}
	return map[string]Bound{"M": bound(func(m, _ float64) float64 { return m }), "Grad": bound(func(_, grad float64) float64 { return grad })}
}

// muonNormalizeBounds bounds the errors relative to the results: those of the trace, a
// sum of positive terms, and of a root and a division, which Vulkan lets be off by 3
// units.
func muonNormalizeBounds(op kernels.MuonNormalize) map[string]Bound {
	bound := func(name string) Bound {
		return func(r *Results) []float64 {
			b := make([]float64, len(r.Ref[name]))
			for i, v := range r.Ref[name] {
				b[i] = float64(op.Gram.Dim(0)+16)*u*math.Abs(v) + tiny
			}
			return b
		}
	}
	return map[string]Bound{"A": bound("A"), "Norm": bound("Norm")}
}

// newtonSchulzBounds bounds the errors of a product and a sum; Q is exact.
func newtonSchulzBounds(op kernels.NewtonSchulz) map[string]Bound {
	return map[string]Bound{"P": func(r *Results) []float64 {
		b := make([]float64, op.A.Len())
		for i, a := range r.In["A"] {
			b[i] = 2*u*(math.Abs(float64(kernels.NewtonSchulzC)*a)+math.Abs(r.Ref["P"][i])) + tiny
		}
		return b
	}}
}

// muonStepBounds bounds the errors of the steps, whose rate and decay have up to four
// roundings and a division each.
func muonStepBounds(op kernels.MuonStep) map[string]Bound {
	return map[string]Bound{"Param": func(r *Results) []float64 {
		lr, b := largestRate(r), make([]float64, op.Param.Len())
		rate := lr * float64(op.Scale) / r.In["Norm"][0]
		for i, p := range largest(r, "Param") {
			b[i] = float64(r.Steps)*u*(12*(rate*math.Abs(r.In["Direction"][i])+lr*float64(op.WeightDecay)*p)+3*p) + tiny
		}
		return b
	}}
}

func muonCases() []Case {
	var cases []Case
	for i, n := range []int{1, 3, 63, 64, 65, 1000, 4099} {
		cases = append(cases,
			MuonMomentum{Len: n, Momentum: .95}, MuonMomentum{Len: n, Momentum: 0},
			MuonStep{Len: n, Steps: 1}, MuonStep{Len: n, WeightDecay: .1, Slot: i, Steps: 4})
	}
	for _, n := range []int{1, 2, 5, 16, 31, 64, 257} {
		cases = append(cases, MuonNormalize{N: n}, MuonNormalize{N: n, Small: true}, NewtonSchulz{n})
	}
	return append(cases, MuonMomentum{Len: 256 * 6272, Momentum: .95}, MuonStep{Len: 256 * 6272, WeightDecay: .01, Steps: 1}) // fashioncnn's fc1
}
