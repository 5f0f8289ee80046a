package cpuref

import (
	"github.com/fmnist-gpu/fmnist-gpu/cpuref/internal/simd"
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// dropout implements both directions, as Y = mask·scale·X is linear in X. With
// relu, it replaces X by max(X, 0).
func (p *program) dropout(from, to, state kernels.Tensor, probability float32, layer uint32, relu bool) func() error {
	x, y, words := p.floats(from), p.floats(to), p.words(state)
	units := from.Shape[1]
	d := &simd.Dropout{
		Purpose:   uint32(kernels.PurposeDropout) + layer,
		Threshold: kernels.DropoutThreshold(probability),
		Scale:     float32(1 / (1 - float64(probability))),
	}
	k := p.backend.simd
	samplesPerTask := max(1, elementsPerTask/4/units)
	samples := from.Shape[0]
	task := func(_, i int) {
		for n := i * samplesPerTask; n < min((i+1)*samplesPerTask, samples); n++ {
			out, in := y[n*units:(n+1)*units], x[n*units:(n+1)*units]
			if relu {
				k.ReLUForward(out, in)
				in = out
			}
			k.Dropout(out, in, uint32(n), d)
		}
	}
	return func() error {
		d.SetKey(words[kernels.StateSeedLow], words[kernels.StateSeedHigh])
		d.Step = words[kernels.StateStep]
		p.pool.run((samples+samplesPerTask-1)/samplesPerTask, task)
		return nil
	}
}
