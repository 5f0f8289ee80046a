//go:build cgo

package vulkan

import "github.com/fmnist-gpu/fmnist-gpu/kernels"

func (l *lowering) add(op kernels.Add) {
	n := op.Y.Len()
	l.each("add", n/4+1, constants(op.ReLU), pushed(n), l.read(op.A), l.read(op.B), l.write(op.Y))
}
