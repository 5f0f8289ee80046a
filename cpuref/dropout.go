package cpuref

import "github.com/fmnist-gpu/fmnist-gpu/kernels"

// dropout is both directions: Y = mask·scale·X is linear in X. A sample's mask
// is drawn four units at a time.
func (p *program) dropout(from, to, state kernels.Tensor, probability float32, layer uint32) func() error {
	x, y, words := p.floats(from), p.floats(to), p.words(state)
	units := from.Shape[1]
	threshold := kernels.DropoutThreshold(probability)
	scale := float32(1 / (1 - float64(probability)))

	task := func(_, sample int) {
		xs, ys := x[sample*units:(sample+1)*units], y[sample*units:(sample+1)*units]
		key := [2]uint32{words[kernels.StateSeedLow], words[kernels.StateSeedHigh]}
		counter := [4]uint32{0, uint32(sample), words[kernels.StateStep], uint32(kernels.PurposeDropout) + layer}
		for u := 0; u < units; u += 4 {
			counter[0] = uint32(u / 4)
			random := kernels.Philox4x32(counter, key)
			for i, v := range xs[u:min(u+4, units)] {
				if random[i] < threshold {
					ys[u+i] = 0
				} else {
					ys[u+i] = v * scale
				}
			}
		}
	}
	return func() error {
		p.backend.pool.run(from.Shape[0], task)
		return nil
	}
}
