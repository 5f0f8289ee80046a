//go:build cgo

package vulkan

import (
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/shaders"
)

func (l *lowering) geluForward(op kernels.GELUForward) {
	n := op.X.Len()
	l.each(n, shaders.GELUForward(shaders.GELUForwardPush{Len: n},
		shaders.GELUForwardBuffers[arg]{X: l.read(op.X), Y: l.write(op.Y)}))
}

func (l *lowering) geluBackward(op kernels.GELUBackward) {
	n := op.X.Len()
	l.each(n, shaders.GELUBackward(shaders.GELUBackwardPush{Len: n},
		shaders.GELUBackwardBuffers[arg]{X: l.read(op.X), DY: l.read(op.DY), DX: l.write(op.DX)}))
}
