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
	s.Beta1, s.OneMinusBeta1 = decay(op.Beta1)
	s.Beta2, s.OneMinusBeta2 = decay(op.Beta2)
	s.Eps, s.WeightDecay = op.Eps, op.WeightDecay
	adam := p.backend.simd.Adam
	update := p.elementwise(len(param), func(from, to int) {
		adam(param[from:to], grad[from:to], m[from:to], v[from:to], &s)
	})
	return func() error {
		now := kernels.ParseState(state)
		rate, err := learningRate(rates, now.Slot)
		if err != nil {
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
	s := simd.SGDStep{Momentum: op.Momentum, WeightDecay: op.WeightDecay, ShareM: 1}
	if op.Nesterov {
		s.ShareG, s.ShareM = 1, op.Momentum
	}
	sgd := p.backend.simd.SGD
	update := p.elementwise(len(param), func(from, to int) {
		if m == nil {
			sgd(param[from:to], grad[from:to], nil, &s)
			return
		}
		sgd(param[from:to], grad[from:to], m[from:to], &s)
	})
	return func() (err error) {
		if s.Rate, err = learningRate(rates, state[kernels.StateSlot]); err != nil {
			return err
		}
		return update()
	}
}

// learningRate returns the learning rate of the given slot.
func learningRate(rates []float32, slot uint32) (float32, error) {
	if int(slot) >= len(rates) {
		return 0, fmt.Errorf("slot %d is outside LearningRates, which has %d slots", slot, len(rates))
	}
	return rates[slot], nil
}
