package cpuref

import "github.com/fmnist-gpu/fmnist-gpu/kernels"

func (p *program) reluDropoutForward(op kernels.ReLUDropoutForward) func() error {
	return p.dropout(op.X, op.Y, op.State, op.P, op.Layer, true)
}

func (p *program) reluDropoutBackward(op kernels.ReLUDropoutBackward) func() error {
	y, dy, dx := p.floats(op.Y), p.floats(op.DY), p.floats(op.DX)
	scale := float32(1 / (1 - float64(op.P)))
	return p.elementwise(len(y), func(from, to int) {
		for i := from; i < to; i++ {
			if y[i] > 0 {
				dx[i] = dy[i] * scale
			} else {
				dx[i] = 0
			}
		}
	})
}
