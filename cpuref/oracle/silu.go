package oracle

import (
	"math"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

func siluForward(m *memory, op kernels.SiLUForward) {
	x, y := m.floats(op.X), m.floats(op.Y)
	for i := range x {
		v := float64(x[i])
		y[i] = float32(v * sigmoid(v))
	}
}

func siluBackward(m *memory, op kernels.SiLUBackward) {
	x, dy, dx := m.floats(op.X), m.floats(op.DY), m.floats(op.DX)
	for i := range x {
		v := float64(x[i])
		s := sigmoid(v)
		dx[i] = float32(float64(dy[i]) * s * (1 + v*(1-s)))
	}
}
