//go:build cgo

package vulkan

import "github.com/fmnist-gpu/fmnist-gpu/kernels"

func (l *lowering) advanceState(op kernels.AdvanceState) {
	beta1, rest1 := decay(op.Beta1)
	beta2, rest2 := decay(op.Beta2)
	l.dispatch("advance_state", 1, 1, 1, nil, pushed(op.Batch, beta1, rest1, beta2, rest2), l.update(op.State))
}
