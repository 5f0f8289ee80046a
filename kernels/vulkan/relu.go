//go:build cgo

package vulkan

import "github.com/fmnist-gpu/fmnist-gpu/kernels"

func (l *lowering) reluForward(op kernels.ReLUForward) {
	n := op.X.Len()
	l.each("relu_forward", ceilDiv(n, 4), nil, pushed(n), l.read(op.X), l.write(op.Y))
}

func (l *lowering) reluBackward(op kernels.ReLUBackward) {
	n := op.Y.Len()
	l.each("relu_backward", ceilDiv(n, 4), nil, pushed(n), l.read(op.Y), l.read(op.DY), l.write(op.DX))
}
