//go:build cgo

package vulkan

import (
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/shaders"
)

func (l *lowering) avgPoolForward(op kernels.AvgPoolForward) {
	windows, c := op.Y.Matrix()
	l.each(windows*ceilDiv(c, 4), shaders.AvgPoolForward(avgPoolSpec(op.X, op.KH, op.KW, op.Stride),
		shaders.AvgPoolForwardPush{Windows: windows}, shaders.AvgPoolForwardBuffers[arg]{X: l.read(op.X), Y: l.write(op.Y)}))
}

func (l *lowering) avgPoolBackward(op kernels.AvgPoolBackward) {
	pixels, c := op.DX.Matrix()
	spec := shaders.AvgPoolBackwardSpec(avgPoolSpec(op.DX, op.KH, op.KW, op.Stride))
	l.each(pixels*ceilDiv(c, 4), shaders.AvgPoolBackward(spec,
		shaders.AvgPoolBackwardPush{Pixels: pixels}, shaders.AvgPoolBackwardBuffers[arg]{DY: l.read(op.DY), DX: l.write(op.DX)}))
}

// avgPoolSpec returns the constants of a pooling over x (N, H, W, C), or its
// gradient.
func avgPoolSpec(x kernels.Tensor, kh, kw, stride int) shaders.AvgPoolForwardSpec {
	return shaders.AvgPoolForwardSpec{H: x.Shape[1], W: x.Shape[2], C: x.Shape[3], KH: kh, KW: kw, Stride: stride}
}
