package kerneltest

import (
	"fmt"
	"math"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// EMA is a case of [kernels.EMA]: Steps steps with the same parameters; the state
// advances between them.
type EMA struct {
	Len       int
	Decay     float64
	FirstStep uint32 // steps done so far
	Steps     int
}

// String describes the case.
func (c EMA) String() string {
	return fmt.Sprintf("%d_decay%v_from%d_steps%d", c.Len, c.Decay, c.FirstStep, c.Steps)
}

// Trial implements [Case].
func (c EMA) Trial() *Trial {
	t := newTrial()
	t.steps = c.Steps
	op := kernels.EMA{Param: t.floats("Param", mixed, c.Len), Average: t.floats("Average", normal(0, 1), c.Len), Decay: c.Decay,
		State: t.state(kernels.NewState(7, c.FirstStep, beta1, beta2))}
	return t.run(op, kernels.AdvanceState{State: op.State, Batch: 64, Beta1: beta1, Beta2: beta2})
}

// emaBounds bounds the error of the average. A step rounds the difference, its product
// with the rate and the sum; the rate is off by up to 6u where it is a division, by
// Vulkan's rules. It passes on at most the error before it.
func emaBounds(op kernels.EMA) map[string]Bound {
	return map[string]Bound{"Average": func(r *Results) []float64 {
		rate := max(1-op.Decay, 9/(10+r.In["State"][kernels.StateStep]))
		bound := make([]float64, op.Average.Len())
		for i, a := range largest(r, "Average") {
			change := rate * (math.Abs(r.In["Param"][i]) + a)
			bound[i] = float64(r.Steps)*(8*u*change+2*u*a) + tiny
		}
		return bound
	}}
}

func emaCases() []Case {
	var cases []Case
	for i, n := range []int{1, 3, 63, 64, 65, 1000, 4099} {
		cases = append(cases,
			EMA{Len: n, Steps: 5},
			EMA{Len: n, Decay: 0.5, FirstStep: uint32(i), Steps: 4},
			EMA{Len: n, Decay: 0.999, FirstStep: 8989, Steps: 3}, // the ramp ends on the way
			EMA{Len: n, Decay: 0.99999, FirstStep: 1 << 24, Steps: 1},
		)
	}
	return append(cases, EMA{Len: 1701632, Decay: 0.999, FirstStep: 4000, Steps: 1}) // fashioncnn's arena
}
