//go:build cgo

package vulkan

import "github.com/fmnist-gpu/fmnist-gpu/kernels"

func (l *lowering) avgPoolForward(op kernels.AvgPoolForward) {
	windows, c := op.Y.Matrix()
	l.each("avgpool_forward", windows*ceilDiv(c, 4), avgPoolConstants(op.X, op.KH, op.KW, op.Stride), pushed(windows),
		l.read(op.X), l.write(op.Y))
}

func (l *lowering) avgPoolBackward(op kernels.AvgPoolBackward) {
	pixels, c := op.DX.Matrix()
	l.each("avgpool_backward", pixels*ceilDiv(c, 4), avgPoolConstants(op.DX, op.KH, op.KW, op.Stride), pushed(pixels),
		l.read(op.DY), l.write(op.DX))
}

// avgPoolConstants returns the constants of a pooling over x (N, H, W, C), or
// its gradient.
func avgPoolConstants(x kernels.Tensor, kh, kw, stride int) []uint32 {
	return constants(x.Shape[1], x.Shape[2], x.Shape[3], kh, kw, stride)
}
