package kerneltest

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// Adam is a case of [kernels.Adam]: Steps steps of the same gradient, the
// state advancing between them.
type Adam struct {
	Len         int
	WeightDecay float32
	FirstStep   uint32 // steps done before
	Slot        int
	Steps       int
}

// SGD is a case of [kernels.SGD], in the same way.
type SGD struct {
	Len                   int
	Momentum, WeightDecay float32
	Nesterov              bool
	NoBuffer              bool // no M
	Slot                  int
	Steps                 int
}

const beta1, beta2, adamEps = 0.9, 0.999, 1e-8

// String describes the case.
func (c Adam) String() string {
	return fmt.Sprintf("%d_decay%v_from%d_slot%d_steps%d", c.Len, c.WeightDecay, c.FirstStep, c.Slot, c.Steps)
}

// String describes the case.
func (c SGD) String() string {
	s := fmt.Sprintf("%d_momentum%v_decay%v_slot%d_steps%d", c.Len, c.Momentum, c.WeightDecay, c.Slot, c.Steps)
	if c.Nesterov {
		s += "_nesterov"
	}
	if c.NoBuffer {
		s += "_nobuffer"
	}
	return s
}

// rates differ by slot, so that a wrong one shows.
func rates(t *Trial, slots int) kernels.Tensor {
	return t.floats("LearningRates", func(_ *rand.Rand, i int) float32 { return 1e-3 * float32(i+1) }, slots)
}

// Trial implements [Case].
func (c Adam) Trial() *Trial {
	t := newTrial()
	t.times = c.Steps
	op := kernels.Adam{Beta1: beta1, Beta2: beta2, Eps: adamEps, WeightDecay: c.WeightDecay}
	op.Param = t.floats("Param", normal(0, 0.1), c.Len)
	op.Grad = t.floats("Grad", mixed, c.Len)
	if c.FirstStep == 0 {
		op.M, op.V = t.floats("M", uniform(0, 0), c.Len), t.floats("V", uniform(0, 0), c.Len)
	} else {
		op.M, op.V = t.floats("M", normal(0, 0.1), c.Len), t.floats("V", uniform(0, 0.1), c.Len)
	}
	state := kernels.NewState(7, c.FirstStep, beta1, beta2)
	state.Slot = uint32(c.Slot)
	op.State = t.state(state)
	op.LearningRates = rates(t, c.Slot+c.Steps+1)
	t.run(op, kernels.AdvanceState{State: op.State, Batch: 64, Beta1: beta1, Beta2: beta2})
	t.bound("State", stateBound(c.Steps))
	t.bound("M", func(r *Results) []float64 { return c.errors(r).m })
	t.bound("V", func(r *Results) []float64 { return c.errors(r).v })
	return t.bound("Param", func(r *Results) []float64 { return c.errors(r).param })
}

type adamErrors struct{ m, v, param []float64 }

// errors bounds what Steps steps may err by. Each step rounds M and V four
// times, relative to their terms β·old and (1−β)·g, and finds errors of
// earlier steps that decay by β; g = Grad + WeightDecay·Param rounds twice.
// The step lr/c₁ · M / (√V/√c₂ + Eps) has six operations, of which Vulkan's
// divisions and roots err by up to 3 units: 32u relative in all, and 3u a step
// from each bias correction. It also carries M's error directly, and V's
// through the root, taken as √V − √(V − δV), which holds down to V = 0.
func (c Adam) errors(r *Results) adamErrors {
	param, grad, m0, v0 := r.In("Param"), r.In("Grad"), r.In("M"), r.In("V")
	paramEnd, m, v := r.Ref("Param"), r.Ref("M"), r.Ref("V")
	steps := float64(c.Steps)
	lr := r.In("LearningRates")[c.Slot+c.Steps-1]
	e := adamErrors{make([]float64, c.Len), make([]float64, c.Len), make([]float64, c.Len)}
	for i := range param {
		p := math.Max(math.Abs(param[i]), math.Abs(paramEnd[i]))
		g := math.Abs(grad[i]) + float64(c.WeightDecay)*p
		errG := 3 * u * g
		e.m[i] = steps*(4*u*(math.Max(math.Abs(m0[i]), math.Abs(m[i]))+(1-beta1)*g)+(1-beta1)*errG) + tiny
		e.v[i] = steps*(4*u*(math.Max(v0[i], v[i])+(1-beta2)*g*g)+(1-beta2)*2*g*errG) + tiny

		// The largest step: of M's largest magnitude and V's smallest, at the
		// smallest bias corrections, which are the first step's.
		largestM := math.Max(math.Abs(m0[i]), math.Abs(m[i])) + e.m[i]
		first, last := float64(c.FirstStep)+1, float64(c.FirstStep)+steps
		c1First, c2Last := 1-math.Pow(beta1, first), 1-math.Pow(beta2, last)
		smallV := c.smallestV(v0[i], v[i], grad[i])
		root := math.Sqrt(smallV)
		errRoot := root - math.Sqrt(math.Max(smallV-e.v[i], 0))
		denominator := math.Max(root-errRoot, 0)/math.Sqrt(c2Last) + adamEps
		step := lr / c1First * largestM / denominator
		relative := 32*u + 6*u*steps + errRoot/math.Sqrt(c2Last)/denominator
		e.param[i] = steps*(step*relative+lr/c1First*e.m[i]/denominator) + 2*u*steps*p
	}
	return e
}

// smallestV bounds V from below after any of the steps: V moves steadily from
// its first value towards g².
func (c Adam) smallestV(v0, vEnd, grad float64) float64 {
	afterFirst := beta2*v0 + (1-beta2)*grad*grad
	if c.WeightDecay > 0 {
		afterFirst = beta2 * v0
	}
	return math.Min(afterFirst, vEnd)
}

// Trial implements [Case].
func (c SGD) Trial() *Trial {
	t := newTrial()
	t.times = c.Steps
	op := kernels.SGD{Momentum: c.Momentum, WeightDecay: c.WeightDecay, Nesterov: c.Nesterov}
	op.Param = t.floats("Param", normal(0, 0.1), c.Len)
	op.Grad = t.floats("Grad", mixed, c.Len)
	if !c.NoBuffer {
		op.M = t.floats("M", normal(0, 0.1), c.Len)
	}
	op.State = t.state(kernels.State{Slot: uint32(c.Slot), BiasCorrection1: 1, BiasCorrection2: 1})
	op.LearningRates = rates(t, c.Slot+c.Steps+1)
	t.run(op, kernels.AdvanceState{State: op.State, Batch: 64})
	if !c.NoBuffer {
		t.bound("M", func(r *Results) []float64 { m, _ := c.errors(r); return m })
	}
	return t.bound("Param", func(r *Results) []float64 { _, p := c.errors(r); return p })
}

// errors bounds what Steps steps may err by: g rounds twice, M and the
// direction twice each, against the magnitudes of what is added. Those
// magnitudes grow by (1+μ) a step at most, and an error of M by μ < 1.
func (c SGD) errors(r *Results) (m, param []float64) {
	p0, pEnd, grad := r.In("Param"), r.Ref("Param"), r.In("Grad")
	m0 := make([]float64, c.Len)
	if !c.NoBuffer {
		m0 = r.In("M")
	}
	steps, mu := float64(c.Steps), float64(c.Momentum)
	lr := r.In("LearningRates")[c.Slot+c.Steps-1]
	m, param = make([]float64, c.Len), make([]float64, c.Len)
	for i := range param {
		p := math.Max(math.Abs(p0[i]), math.Abs(pEnd[i]))
		g := math.Abs(grad[i]) + float64(c.WeightDecay)*p
		largestM := math.Abs(m0[i]) + steps*g
		errM := 4 * u * (g + mu*largestM)
		m[i] = steps*errM + tiny
		direction := g + (1+mu)*largestM
		param[i] = steps*(lr*(4*u*direction+(1+mu)*m[i])+2*u*p) + tiny
	}
	return m, param
}

func optimizerCases() []Case {
	var cases []Case
	for i, n := range []int{1, 3, 63, 64, 65, 1000, 4099} {
		cases = append(cases,
			Adam{Len: n, Steps: 1},
			Adam{Len: n, Steps: 6, Slot: i},
			Adam{Len: n, Steps: 3, WeightDecay: 0.01, FirstStep: uint32(i * 500)},
			SGD{Len: n, NoBuffer: true, Steps: 1},
			SGD{Len: n, NoBuffer: true, WeightDecay: 0.01, Steps: 4, Slot: i},
			SGD{Len: n, Steps: 2}, // a buffer though μ is 0
			SGD{Len: n, Momentum: 0.9, Steps: 5, Slot: 2},
			SGD{Len: n, Momentum: 0.9, WeightDecay: 0.01, Nesterov: true, Steps: 5},
		)
	}
	return append(cases,
		Adam{Len: 1701632, Steps: 1, FirstStep: 4000, WeightDecay: 1e-4}, // fashioncnn's arena
		SGD{Len: 1701632, Momentum: 0.9, Nesterov: true, Steps: 1},
	)
}
