//go:build cgo

package vulkan

import (
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/shaders"
)

func (l *lowering) advanceState(op kernels.AdvanceState) {
	beta1, rest1 := decay(op.Beta1)
	beta2, rest2 := decay(op.Beta2)
	l.dispatch(1, 1, 1, shaders.AdvanceState(
		shaders.AdvanceStatePush{Batch: op.Batch, Beta1: beta1, OneMinusBeta1: rest1, Beta2: beta2, OneMinusBeta2: rest2},
		shaders.AdvanceStateBuffers[arg]{State: l.update(op.State)}))
}
