//go:build cgo

package vulkan

import (
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/shaders"
)

func (l *lowering) reluForward(op kernels.ReLUForward) {
	n := op.X.Len()
	l.each(ceilDiv(n, 4), shaders.ReLUForward(shaders.ReLUForwardPush{Len: n},
		shaders.ReLUForwardBuffers[arg]{X: l.read(op.X), Y: l.write(op.Y)}))
}

func (l *lowering) reluBackward(op kernels.ReLUBackward) { l.reluGradient(op.Y, op.DY, op.DX, 1) }

// reluGradient appends dx = dy·scale where y > 0, else 0.
func (l *lowering) reluGradient(y, dy, dx kernels.Tensor, scale float32) {
	n := y.Len()
	l.each(ceilDiv(n, 4), shaders.ReLUBackward(shaders.ReLUBackwardPush{Len: n, Scale: scale},
		shaders.ReLUBackwardBuffers[arg]{Y: l.read(y), DY: l.read(dy), DX: l.write(dx)}))
}
