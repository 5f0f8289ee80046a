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
	decayed := func(s *simd.AdamStep, decay float32) {
		if s.WeightDecay, s.Keep = decay, 1; op.Decoupled {
			s.WeightDecay, s.Keep = 0, float32(1-float64(rate)*float64(decay))
		}
	}
	s.Beta1, s.OneMinusBeta1 = decay(op.Beta1)
	s.Beta2, s.OneMinusBeta2 = decay(op.Beta2)
	s.Eps = op.Eps
	adam := p.backend.simd.Adam
	update := p.byDecay(len(param), op.DecayShares, func(from, to int, share float32) {
		step := &s
		if share != 1 {
			other := s
			decayed(&other, op.WeightDecay*share)
			step = &other
		}
		adam(param[from:to], grad[from:to], m[from:to], v[from:to], step)
	})
	return func() (err error) {
		now := kernels.ParseState(state)
		if rate, err = learningRate(rates, now.Slot); err != nil {
			return err
		}
		s.StepSize = float32(float64(rate) / float64(now.BiasCorrection1))
		s.RootCorrection = float32(math.Sqrt(float64(now.BiasCorrection2)))
		decayed(&s, op.WeightDecay)
		return update()
	}
}

func (p *program) sgd(op kernels.SGD) func() error {
	param, grad, m := p.floats(op.Param), p.floats(op.Grad), p.floats(op.M)
	state, rates := p.words(op.State), p.floats(op.LearningRates)
	s := simd.SGDStep{Momentum: op.Momentum, WeightDecay: op.WeightDecay, ShareM: 1}
	if op.Nesterov {
		s.ShareG, s.ShareM = 1, op.Momentum
	}
	sgd := p.backend.simd.SGD
	update := p.byDecay(len(param), op.DecayShares, func(from, to int, share float32) {
		step := &s
		if share != 1 {
			other := s
			other.WeightDecay *= share
			step = &other
		}
		if m == nil {
			sgd(param[from:to], grad[from:to], nil, step)
			return
		}
		sgd(param[from:to], grad[from:to], m[from:to], step)
	})
	return func() (err error) {
		if s.Rate, err = learningRate(rates, state[kernels.StateSlot]); err != nil {
			return err
		}
		return update()
	}
}

// byDecay returns the function that runs body on n parameters in parallel parts, in
// each of which all parameters have the same share of the weight decay.
func (p *program) byDecay(n int, shares kernels.Tensor, body func(from, to int, share float32)) func() error {
	share := p.floats(shares)
	return p.elementwise(n, func(from, to int) {
		if share == nil {
			body(from, to, 1)
			return
		}
		for from < to { // a multiple of DecayGroup
			same, end := share[from/kernels.DecayGroup], from
			for end < to && share[end/kernels.DecayGroup] == same {
				end += kernels.DecayGroup
			}
			end = min(end, to)
			body(from, end, same)
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
