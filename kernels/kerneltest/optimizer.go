package kerneltest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// Adam is a case of [kernels.Adam]: Steps steps with the same gradient; the
// state advances between them.
type Adam struct {
	Len         int
	WeightDecay float32
	Decoupled   bool
	Shares      bool   // the parameters' shares of WeightDecay differ
	FirstStep   uint32 // steps done so far
	Slot        int
	Steps       int
}

// SGD is a case of [kernels.SGD], in the same way.
type SGD struct {
	Len                   int
	Momentum, WeightDecay float32
	Nesterov              bool
	Shares                bool
	NoBuffer              bool // no M
	Slot                  int
	Steps                 int
}

const beta1, beta2, adamEps = 0.9, 0.999, 1e-8

// String describes the case.
func (c Adam) String() string {
	s := fmt.Sprintf("%d_decay%v_from%d_slot%d_steps%d", c.Len, c.WeightDecay, c.FirstStep, c.Slot, c.Steps)
	if c.Decoupled {
		s += "_decoupled"
	}
	if c.Shares {
		s += "_shares"
	}
	return s
}

// String describes the case.
func (c SGD) String() string {
	s := fmt.Sprintf("%d_momentum%v_decay%v_slot%d_steps%d", c.Len, c.Momentum, c.WeightDecay, c.Slot, c.Steps)
	if c.Nesterov {
		s += "_nesterov"
	}
	if c.Shares {
		s += "_shares"
	}
	if c.NoBuffer {
		s += "_nobuffer"
	}
	return s
}

// rates returns learning rates that differ by slot, so that a wrong slot shows.
func rates(t *Trial, slots int) kernels.Tensor {
	return t.floats("LearningRates", func(_ *rand.Rand, i int) float32 { return 1e-3 * float32(i+1) }, slots)
}

// decayShares returns shares of the weight decay that differ by group, some of them
// all or nothing.
func decayShares(t *Trial, n int) kernels.Tensor {
	groups := (n + kernels.DecayGroup - 1) / kernels.DecayGroup
	return t.floats("DecayShares", func(_ *rand.Rand, i int) float32 { return float32(i%3) / 2 }, groups)
}

// Trial implements [Case].
func (c Adam) Trial() *Trial {
	t := newTrial()
	t.steps = c.Steps
	op := kernels.Adam{Beta1: beta1, Beta2: beta2, Eps: adamEps, WeightDecay: c.WeightDecay, Decoupled: c.Decoupled}
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
	if c.Shares {
		op.DecayShares = decayShares(t, c.Len)
	}
	return t.run(op, kernels.AdvanceState{State: op.State, Batch: 64, Beta1: beta1, Beta2: beta2})
}

func adamBounds(op kernels.Adam) map[string]Bound {
	errors := once(func(r *Results) [2][]float64 { m, v := adamMomentErrors(op, r); return [2][]float64{m, v} })
	return map[string]Bound{
		"M":     func(r *Results) []float64 { return errors(r)[0] },
		"V":     func(r *Results) []float64 { return errors(r)[1] },
		"Param": func(r *Results) []float64 { e := errors(r); return adamParamErrors(op, r, e[0], e[1]) },
	}
}

// adamMomentErrors bounds the errors of the moments: each step rounds M and V
// four times, relative to their terms β·old and (1−β)·g, and inherits the errors
// of earlier steps, which decay by β; g = Grad + l2·Param rounds twice.
func adamMomentErrors(op kernels.Adam, r *Results) (m, v []float64) {
	steps := float64(r.Steps)
	grad, largestP, largestM, largestV := r.In["Grad"], largest(r, "Param"), largest(r, "M"), largest(r, "V")
	m, v = make([]float64, op.Param.Len()), make([]float64, op.Param.Len())
	for i := range m {
		g := math.Abs(grad[i]) + l2(op)*largestP[i]
		errG := 3 * u * g
		m[i] = steps*(4*u*(largestM[i]+(1-op.Beta1)*g)+(1-op.Beta1)*errG) + tiny
		v[i] = steps*(4*u*(largestV[i]+(1-op.Beta2)*g*g)+(1-op.Beta2)*2*g*errG) + tiny
	}
	return m, v
}

// l2 returns the largest coefficient of the parameters in the gradient.
func l2(op kernels.Adam) float64 {
	if op.Decoupled {
		return 0
	}
	return float64(op.WeightDecay)
}

// adamParamErrors bounds the errors of the parameters. The step
// lr/c₁ · M / (√V/√c₂ + Eps) has six operations, of which Vulkan's divisions and
// roots are off by up to 3 units: 32u relative in all, and 3u per step from each
// bias correction. It also passes on M's error directly, and V's through the
// root, as √V − √(V − δV), which holds down to V = 0. Every step is bounded by
// the largest possible one: M's largest magnitude and V's smallest, with M's
// bias correction of the first step and V's of the last. Decoupled weight decay
// rounds the parameter's factor three times, and its product once.
func adamParamErrors(op kernels.Adam, r *Results, errM, errV []float64) []float64 {
	steps, lr := float64(r.Steps), largestRate(r)
	done := r.In["State"][kernels.StateStep]
	c1First, c2Last := 1-math.Pow(op.Beta1, done+1), 1-math.Pow(op.Beta2, done+steps)
	largestP, largestM, smallestV := largest(r, "Param"), largest(r, "M"), adamSmallestV(op, r)
	bound := make([]float64, op.Param.Len())
	roundings := 2.0
	if op.Decoupled {
		roundings += 4
	}
	for i, v := range smallestV {
		root := math.Sqrt(v)
		errRoot := root - math.Sqrt(math.Max(v-errV[i], 0))
		denominator := (root-errRoot)/math.Sqrt(c2Last) + float64(op.Eps)
		step := lr / c1First * (largestM[i] + errM[i]) / denominator
		relative := 32*u + 6*u*steps + errRoot/math.Sqrt(c2Last)/denominator
		bound[i] = steps*(step*relative+lr/c1First*errM[i]/denominator) + roundings*u*steps*largestP[i]
	}
	return bound
}

// adamSmallestV bounds V from below after any of the steps: V moves
// monotonically from its first value towards g².
func adamSmallestV(op kernels.Adam, r *Results) []float64 {
	smallest, old, grad := make([]float64, op.V.Len()), r.In["V"], r.In["Grad"]
	for i, last := range r.Ref["V"] {
		first := op.Beta2 * old[i]
		if l2(op) == 0 {
			first += (1 - op.Beta2) * grad[i] * grad[i]
		}
		smallest[i] = math.Min(first, last)
	}
	return smallest
}

// largest returns the larger magnitude of each element of an operand, before
// or after the op.
func largest(r *Results, operand string) []float64 {
	all, before := make([]float64, len(r.In[operand])), r.In[operand]
	for i, after := range r.Ref[operand] {
		all[i] = math.Max(math.Abs(before[i]), math.Abs(after))
	}
	return all
}

// largestRate returns the largest learning rate of the steps.
func largestRate(r *Results) float64 {
	slot := int(r.In["State"][kernels.StateSlot])
	return slices.Max(r.In["LearningRates"][slot : slot+r.Steps])
}

// Trial implements [Case].
func (c SGD) Trial() *Trial {
	t := newTrial()
	t.steps = c.Steps
	op := kernels.SGD{Momentum: c.Momentum, WeightDecay: c.WeightDecay, Nesterov: c.Nesterov}
	op.Param = t.floats("Param", normal(0, 0.1), c.Len)
	op.Grad = t.floats("Grad", mixed, c.Len)
	if !c.NoBuffer {
		op.M = t.floats("M", normal(0, 0.1), c.Len)
	}
	op.State = t.state(kernels.State{Slot: uint32(c.Slot), BiasCorrection1: 1, BiasCorrection2: 1})
	op.LearningRates = rates(t, c.Slot+c.Steps+1)
	if c.Shares {
		op.DecayShares = decayShares(t, c.Len)
	}
	return t.run(op, kernels.AdvanceState{State: op.State, Batch: 64})
}

func sgdBounds(op kernels.SGD) map[string]Bound {
	errors := once(func(r *Results) [2][]float64 { m, param := sgdErrors(op, r); return [2][]float64{m, param} })
	return map[string]Bound{
		"M":     func(r *Results) []float64 { return errors(r)[0] },
		"Param": func(r *Results) []float64 { return errors(r)[1] },
	}
}

// sgdErrors bounds the errors of the steps: g, M and the direction round twice
// each, relative to the magnitudes of the terms added. M grows by at most g per
// step, and an error of M decays by μ.
func sgdErrors(op kernels.SGD, r *Results) (m, param []float64) {
	steps, mu, lr := float64(r.Steps), float64(op.Momentum), largestRate(r)
	grad, oldM := r.In["Grad"], r.In["M"]
	m, param = make([]float64, op.Param.Len()), make([]float64, op.Param.Len())
	for i, p := range largest(r, "Param") {
		g := math.Abs(grad[i]) + float64(op.WeightDecay)*p
		largestM := steps * g
		if !op.M.Absent() {
			largestM += math.Abs(oldM[i])
		}
		m[i] = steps*4*u*(g+mu*largestM) + tiny
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
			Adam{Len: n, Steps: 3, WeightDecay: 0.1, Shares: true},
			Adam{Len: n, Steps: 4, WeightDecay: 0.1, Decoupled: true, Slot: i},
			Adam{Len: n, Steps: 2, WeightDecay: 10, Decoupled: true, Shares: true, FirstStep: uint32(i * 500), Slot: 3},
			SGD{Len: n, NoBuffer: true, Steps: 1},
			SGD{Len: n, NoBuffer: true, WeightDecay: 0.01, Steps: 4, Slot: i},
			SGD{Len: n, Steps: 2}, // a buffer though μ is 0
			SGD{Len: n, Momentum: 0.9, Steps: 5, Slot: 2},
			SGD{Len: n, Momentum: 0.9, WeightDecay: 0.01, Nesterov: true, Steps: 5},
			SGD{Len: n, Momentum: 0.9, WeightDecay: 0.1, Shares: true, Steps: 2},
		)
	}
	return append(cases,
		Adam{Len: 1701632, Steps: 1, FirstStep: 4000, WeightDecay: 1e-4}, // fashioncnn's arena
		Adam{Len: 1701632, Steps: 1, WeightDecay: 0.01, Decoupled: true, Shares: true},
		SGD{Len: 1701632, Momentum: 0.9, Nesterov: true, Steps: 1},
	)
}
