package oracle

import "github.com/fmnist-gpu/fmnist-gpu/kernels"

func add(m *memory, op kernels.Add) {
	a, b, y := m.floats(op.A), m.floats(op.B), m.floats(op.Y)
	for i := range a {
		y[i] = float32(float64(a[i]) + float64(b[i]))
		if op.ReLU {
			y[i] = max(y[i], 0)
		}
	}
}
