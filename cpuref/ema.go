package cpuref

import (
	"github.com/fmnist-gpu/fmnist-gpu/cpuref/internal/simd"
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

func (p *program) ema(op kernels.EMA) func() error {
	param, average, state := p.floats(op.Param), p.floats(op.Average), p.words(op.State)
	var s simd.EMAStep
	ema := p.backend.simd.EMA
	update := p.elementwise(len(param), func(from, to int) { ema(average[from:to], param[from:to], &s) })
	return func() error {
		s.Rate = max(float32(1-op.Decay), 9/(10+float32(state[kernels.StateStep])))
		return update()
	}
}
