//go:build cgo

package vulkan

import "github.com/fmnist-gpu/fmnist-gpu/kernels"

func (l *lowering) geluForward(op kernels.GELUForward) {
	n := op.X.Len()
	l.each("gelu_forward", n, nil, pushed(n), l.read(op.X), l.write(op.Y))
}

func (l *lowering) geluBackward(op kernels.GELUBackward) {
	n := op.X.Len()
	l.each("gelu_backward", n, nil, pushed(n), l.read(op.X), l.read(op.DY), l.write(op.DX))
}
