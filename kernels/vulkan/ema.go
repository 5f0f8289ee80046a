//go:build cgo

package vulkan

import (
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/shaders"
)

func (l *lowering) ema(op kernels.EMA) {
	n := op.Param.Len()
	l.each(ceilDiv(n, 4), shaders.EMA(shaders.EMAPush{Len: n, LeastRate: float32(1 - op.Decay)},
		shaders.EMABuffers[arg]{Param: l.read(op.Param), Average: l.update(op.Average), State: l.read(op.State)}))
}
