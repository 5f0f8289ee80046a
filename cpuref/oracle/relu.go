package oracle

import "github.com/fmnist-gpu/fmnist-gpu/kernels"

func reluForward(m *memory, op kernels.ReLUForward) {
	x, y := m.floats(op.X), m.floats(op.Y)
	for i := range x {
		y[i] = max(x[i], 0)
	}
}

func reluBackward(m *memory, op kernels.ReLUBackward) {
	y, dy, dx := m.floats(op.Y), m.floats(op.DY), m.floats(op.DX)
	for i := range y {
		if y[i] > 0 {
			dx[i] = dy[i]
		} else {
			dx[i] = 0
		}
	}
}
