//go:build cgo

package vulkan

import "github.com/fmnist-gpu/fmnist-gpu/kernels"

func (l *lowering) siluForward(op kernels.SiLUForward) {
	n := op.X.Len()
	l.each("silu_forward", n, nil, pushed(n), l.read(op.X), l.write(op.Y))
}

func (l *lowering) siluBackward(op kernels.SiLUBackward) {
	n := op.X.Len()
	l.each("silu_backward", n, nil, pushed(n), l.read(op.X), l.read(op.DY), l.write(op.DX))
}
