//go:build cgo

package vulkan

import (
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/shaders"
)

func (l *lowering) add(op kernels.Add) {
	n := op.Y.Len()
	l.each(n/4+1, shaders.Add(shaders.AddSpec{WithReLU: op.ReLU}, shaders.AddPush{Len: n},
		shaders.AddBuffers[arg]{A: l.read(op.A), B: l.read(op.B), Y: l.write(op.Y)}))
}
