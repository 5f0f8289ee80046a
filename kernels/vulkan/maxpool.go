//go:build cgo

package vulkan

import (
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/shaders"
)

func (l *lowering) maxPoolForward(op kernels.MaxPoolForward) {
	index, withIndex := l.write(op.Y), !op.Index.Absent() // without one, the shader does not access the binding
	if withIndex {
		index = l.write(op.Index)
	}
	spec := shaders.MaxPoolForwardSpec{H: op.X.Shape[1], W: op.X.Shape[2], C: op.X.Shape[3], Size: op.Size, Stride: op.Stride, WithIndex: withIndex}
	windows, c := op.Y.Matrix()
	l.each(windows*ceilDiv(c, 4), shaders.MaxPoolForward(spec, shaders.MaxPoolForwardPush{Windows: windows},
		shaders.MaxPoolForwardBuffers[arg]{X: l.read(op.X), Y: l.write(op.Y), Index: index}))
}

func (l *lowering) maxPoolBackward(op kernels.MaxPoolBackward) {
	spec := shaders.MaxPoolBackwardSpec{H: op.DX.Shape[1], W: op.DX.Shape[2], C: op.DX.Shape[3], Size: op.Size, Stride: op.Stride}
	pixels, c := op.DX.Matrix()
	l.each(pixels*ceilDiv(c, 4), shaders.MaxPoolBackward(spec, shaders.MaxPoolBackwardPush{Pixels: pixels},
		shaders.MaxPoolBackwardBuffers[arg]{DY: l.read(op.DY), Index: l.read(op.Index), DX: l.write(op.DX)}))
}
