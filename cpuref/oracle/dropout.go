package oracle

import "github.com/fmnist-gpu/fmnist-gpu/kernels"

func dropoutForward(m *memory, op kernels.DropoutForward) {
	dropout(m, op.X, op.Y, op.State, op.P, op.Layer)
}

// dropoutBackward is the forward op applied to the gradient: Y = mask·scale·X is
// linear in X.
func dropoutBackward(m *memory, op kernels.DropoutBackward) {
	dropout(m, op.DY, op.DX, op.State, op.P, op.Layer)
}

func dropout(m *memory, from, to, state kernels.Tensor, p float32, layer uint32) {
	src, dst := m.floats(from), m.floats(to)
	s := m.state(state)
	key := [2]uint32{uint32(s.Seed), uint32(s.Seed >> 32)}
	purpose := uint32(kernels.PurposeDropout) + layer
	threshold := kernels.DropoutThreshold(p)
	units := from.Shape[1]
	for i := range src {
		sample, unit := uint32(i/units), uint32(i%units)
		word := kernels.Philox4x32([4]uint32{unit / 4, sample, s.Step, purpose}, key)[unit%4]
		if word < threshold {
			dst[i] = 0
		} else {
			dst[i] = float32(float64(src[i]) / (1 - float64(p)))
		}
	}
}
