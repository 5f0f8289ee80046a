//go:build cgo

package vulkan

import "github.com/fmnist-gpu/fmnist-gpu/kernels"

func (l *lowering) maxPoolForward(op kernels.MaxPoolForward) {
	index, withIndex := l.write(op.Y), !op.Index.Absent() // without one, the shader does not access the binding
	if withIndex {
		index = l.write(op.Index)
	}
	spec := append(poolConstants(op.X, op.Size, op.Stride), flag(withIndex))
	windows, c := op.Y.Matrix()
	l.each("maxpool_forward", windows*ceilDiv(c, 4), spec, pushed(windows), l.read(op.X), l.write(op.Y), index)
}

func (l *lowering) maxPoolBackward(op kernels.MaxPoolBackward) {
	pixels, c := op.DX.Matrix()
	l.each("maxpool_backward", pixels*ceilDiv(c, 4), poolConstants(op.DX, op.Size, op.Stride), pushed(pixels),
		l.read(op.DY), l.read(op.Index), l.write(op.DX))
}

// poolConstants returns the constants of a pooling over x (N, H, W, C) or over
// its gradient.
func poolConstants(x kernels.Tensor, size, stride int) []uint32 {
	return constants(x.Shape[1], x.Shape[2], x.Shape[3], size, stride)
}
