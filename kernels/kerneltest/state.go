package kerneltest

import (
	"fmt"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// AdvanceState is a case of [kernels.AdvanceState], run Times times in a row.
type AdvanceState struct {
	Start        kernels.State
	Batch        int
	Beta1, Beta2 float64
	Times        int
}

// String describes the case.
func (c AdvanceState) String() string {
	return fmt.Sprintf("from_%d_by_%d_beta_%v_%v_times_%d", c.Start.Step, c.Batch, c.Beta1, c.Beta2, c.Times)
}

// Trial implements [Case].
func (c AdvanceState) Trial() *Trial {
	t := newTrial()
	t.steps = c.Times
	return t.run(kernels.AdvanceState{State: t.state(c.Start), Batch: c.Batch, Beta1: c.Beta1, Beta2: c.Beta2})
}

// stateBound: words are exact. A bias correction's update rounds at most twice,
// both times relative to a result in which nothing cancels, and passes on at
// most the relative error of its input: 2u per run, and u for the reference's
// rounding.
func stateBound(r *Results) []float64 {
	bound := make([]float64, kernels.StateWords)
	for _, i := range []int{kernels.StateBiasCorrection1, kernels.StateBiasCorrection2} {
		bound[i] = 3 * u * float64(r.Steps) * r.Ref["State"][i]
	}
	return bound
}

func stateCases() []Case {
	start := func(step uint32) kernels.State {
		s := kernels.NewState(0x123456789ABCDEF0, step, 0.9, 0.999)
		s.Cursor, s.Slot, s.Epoch = 17, 3, 9
		return s
	}
	return []Case{
		AdvanceState{start(0), 64, 0.9, 0.999, 1},
		AdvanceState{start(0), 32, 0.9, 0.999, 7},
		AdvanceState{start(0), 64, 0.9, 0.999, 100},
		AdvanceState{start(9369), 64, 0.9, 0.999, 2},
		AdvanceState{start(3), 1, 0.5, 0, 3},
		AdvanceState{kernels.State{Seed: 1, BiasCorrection1: 1, BiasCorrection2: 1}, 10000, 0, 0, 4},
	}
}
