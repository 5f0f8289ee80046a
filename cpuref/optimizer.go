package cpuref

import (
	"fmt"
	"math"

	"github.com/fmnist-gpu/fmnist-gpu/cpuref/internal/simd"
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

func (p *program) adam(op kernels.Adam) func() error {
	param, grad, m, v := p.floats(op.Param), p.floats(op.Grad), p.floats(op.M), p.floats(op.V)
	state, rates := p.words(op.State), p.floats(op.LearningRates)
	var s simd.AdamStep
	var rate float32
	s.Beta1, s.OneMinusBeta1 = decay(op.Beta1)
	s.Beta2, s.OneMinusBeta2 = decay(op.Beta2)
	s.Eps = op.Eps
	adam, steps := p.backend.simd.Adam, make([]simd.AdamStep, len(param)/elementsPerTask+1) // by task
	update := p.byDecay(len(param), op.WeightDecay, op.DecayShares, func(from, to int, decay float32) {
		s, common := &steps[from/elementsPerTask], s
		*s = common
		if s.WeightDecay, s.Keep = decay, 1; op.Decoupled {
			s.WeightDecay, s.Keep = 0, float32(1-float64(rate)*float64(decay))
		}
		adam(param[from:to], grad[from:to], m[from:to], v[from:to], s)
	})
	return func() (err error) {
		now := kernels.ParseState(state)
		if rate, err = learningRate(rates, now.Slot); err != nil {
			return err
		}
		s.StepSize = float32(float64(rate) / float64(now.BiasCorrection1))
		s.RootCorrection = float32(math.Sqrt(float64(now.BiasCorrection2)))
		return update()
	}
}

func (p *program) sgd(op kernels.SGD) func() error {
	param, grad, m := p.floats(op.Param), p.floats(op.Grad), p.floats(op.M)
	state, rates := p.words(op.State), p.floats(op.LearningRates)
	s := simd.SGDStep{Momentum: op.Momentum, ShareM: 1}
	if op.Nesterov {
		s.ShareG, s.ShareM = 1, op.Momentum
	}
	sgd, steps := p.backend.simd.SGD, make([]simd.SGDStep, len(param)/elementsPerTask+1) // by task
	update := p.byDecay(len(param), op.WeightDecay, op.DecayShares, func(from, to int, decay float32) {
		s, common := &steps[from/elementsPerTask], s
		*s = common
		s.WeightDecay = decay
		if m == nil {
			sgd(param[from:to], grad[from:to], nil, s)
			return
		}
		sgd(param[from:to], grad[from:to], m[from:to], s)
	})
	return func() (err error) {
		if s.Rate, err = learningRate(rates, state[kernels.StateSlot]); err != nil {
			return err
		}
		return update()
	}
}

// byDecay returns the function that runs body on n parameters in parallel parts, in
// each of which all parameters have the same weight decay.
func (p *program) byDecay(n int, decay float32, shares kernels.Tensor, body func(from, to int, decay float32)) func() error {
	share := p.floats(shares)
	return p.elementwise(n, func(from, to int) {
		if share == nil {
			body(from, to, decay)
			return
		}
		for from < to { // a multiple of DecayGroup
			same, end := share[from/kernels.DecayGroup], from
			for end < to && share[end/kernels.DecayGroup] == same {
				end += kernels.DecayGroup
			}
			end = min(end, to)
			body(from, end, decay*same)
			from = end
		}
	})
}

// learningRate returns the learning rate of the given slot.
func learningRate(rates []float32, slot uint32) (float32, error) {
	if int(slot) >= len(rates) {
		return 0, fmt.Errorf("slot %d is outside LearningRates, which has %d slots", slot, len(rates))
	}
	return rates[slot], nil
}
