package oracle

import "github.com/fmnist-gpu/fmnist-gpu/kernels"

// reluDropoutForward is one op after the other.
func reluDropoutForward(m *memory, op kernels.ReLUDropoutForward) {
	reluForward(m, kernels.ReLUForward{X: op.X, Y: op.Y})
	dropout(m, op.Y, op.Y, op.State, op.P, op.Layer)
}

func reluDropoutBackward(m *memory, op kernels.ReLUDropoutBackward) {
	y, dy, dx := m.floats(op.Y), m.floats(op.DY), m.floats(op.DX)
	for i := range y {
		if y[i] > 0 {
			dx[i] = float32(float64(dy[i]) / (1 - float64(op.P)))
		} else {
			dx[i] = 0
		}
	}
}
