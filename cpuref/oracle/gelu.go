package oracle

import (
	"math"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// normalCDF is Φ, the standard normal distribution's cumulative function. Erfc
// keeps the relative precision if x is far below 0.
func normalCDF(x float64) float64 { return math.Erfc(-x/math.Sqrt2) / 2 }

func normalDensity(x float64) float64 { return math.Exp(-x*x/2) / math.Sqrt(2*math.Pi) }

func geluForward(m *memory, op kernels.GELUForward) {
	x, y := m.floats(op.X), m.floats(op.Y)
	for i := range x {
		v := float64(x[i])
		y[i] = float32(v * normalCDF(v))
	}
}

func geluBackward(m *memory, op kernels.GELUBackward) {
	x, dy, dx := m.floats(op.X), m.floats(op.DY), m.floats(op.DX)
	for i := range x {
		v := float64(x[i])
		dx[i] = float32(float64(dy[i]) * (normalCDF(v) + v*normalDensity(v)))
	}
}
