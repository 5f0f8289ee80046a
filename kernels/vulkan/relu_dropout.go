//go:build cgo

package vulkan

import "github.com/fmnist-gpu/fmnist-gpu/kernels"

func (l *lowering) reluDropoutForward(op kernels.ReLUDropoutForward) {
	l.dropout(op.X, op.State, op.Y, op.P, op.Layer, true)
}

func (l *lowering) reluDropoutBackward(op kernels.ReLUDropoutBackward) {
	l.reluGradient(op.Y, op.DY, op.DX, keptScale(op.P))
}
