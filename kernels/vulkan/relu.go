//go:build cgo

package vulkan

import "github.com/fmnist-gpu/fmnist-gpu/kernels"

func (l *lowering) reluForward(op kernels.ReLUForward) {
	n := op.X.Len()
	l.each("relu_forward", ceilDiv(n, 4), nil, pushed(n), l.read(op.X), l.write(op.Y))
}

func (l *lowering) reluBackward(op kernels.ReLUBackward) { l.reluGradient(op.Y, op.DY, op.DX, 1) }

// reluGradient appends dx = dy·scale where y > 0, else 0.
func (l *lowering) reluGradient(y, dy, dx kernels.Tensor, scale float32) {
	n := y.Len()
	l.each("relu_backward", ceilDiv(n, 4), nil, pushed(n, scale), l.read(y), l.read(dy), l.write(dx))
}
