package oracle

import "github.com/fmnist-gpu/fmnist-gpu/kernels"

func ema(m *memory, op kernels.EMA) {
	param, average := m.floats(op.Param), m.floats(op.Average)
	rate := max(float64(float32(1-op.Decay)), 9/(10+float64(m.state(op.State).Step)))
	for i, p := range param {
		a := float64(average[i])
		average[i] = float32(a + rate*(float64(p)-a))
	}
}
