//go:build cgo

package vulkan

import (
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/shaders"
)

func (l *lowering) siluForward(op kernels.SiLUForward) {
	n := op.X.Len()
	l.each(n, shaders.SiLUForward(shaders.SiLUForwardPush{Len: n},
		shaders.SiLUForwardBuffers[arg]{X: l.read(op.X), Y: l.write(op.Y)}))
}

func (l *lowering) siluBackward(op kernels.SiLUBackward) {
	n := op.X.Len()
	l.each(n, shaders.SiLUBackward(shaders.SiLUBackwardPush{Len: n},
		shaders.SiLUBackwardBuffers[arg]{X: l.read(op.X), DY: l.read(op.DY), DX: l.write(op.DX)}))
}
