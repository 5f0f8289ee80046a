//go:build cgo

package vulkan

import "github.com/fmnist-gpu/fmnist-gpu/kernels"

func (l *lowering) maxPoolForward(op kernels.MaxPoolForward) {
	index, withIndex := l.write(op.Y), !op.Index.Absent() // without one, the shader leaves the binding alone
	if withIndex {
		index = l.write(op.Index)
	}
	spec := append(poolConstants(op.X, op.Size, op.Stride), flag(withIndex))
	l.each("maxpool_forward", op.Y.Len(), spec, pushed(op.Y.Len()), l.read(op.X), l.write(op.Y), index)
}

func (l *lowering) maxPoolBackward(op kernels.MaxPoolBackward) {
	l.each("maxpool_backward", op.DX.Len(), poolConstants(op.DX, op.Size, op.Stride), pushed(op.DX.Len()),
		l.read(op.DY), l.read(op.Index), l.write(op.DX))
}

// poolConstants returns the constants of a pooling over x (N, H, W, C), or its
// gradient.
func poolConstants(x kernels.Tensor, size, stride int) []uint32 {
	return constants(x.Shape[1], x.Shape[2], x.Shape[3], size, stride)
}
