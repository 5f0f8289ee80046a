//go:build cgo

package vulkan

import (
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/shaders"
)

// adam lowers a step of Adam, with the advance of its state if that joins it.
func (l *lowering) adam(op kernels.Adam, joined kernels.Op) {
	beta1, rest1 := decay(op.Beta1)
	beta2, rest2 := decay(op.Beta2)
	var counters arg
	advance, advances := joined.(kernels.AdvanceState)
	if advances {
		counters = l.counters(1)
	}
	stateBeta1, stateRest1 := decay(advance.Beta1)
	stateBeta2, stateRest2 := decay(advance.Beta2)
	n := op.Param.Len()
	groups := ceilDiv(ceilDiv(n, 4), l.threads)
	l.dispatch(l.threads, groups, 1, shaders.Adam(shaders.AdamSpec{Advance: advances, Decoupled: op.Decoupled, WithShares: !op.DecayShares.Absent()},
		shaders.AdamPush{Len: n, Beta1: beta1, OneMinusBeta1: rest1, Beta2: beta2, OneMinusBeta2: rest2, Eps: op.Eps, WeightDecay: op.WeightDecay,
			Groups: groups, Batch: advance.Batch,
			AdvanceBeta1: stateBeta1, AdvanceRest1: stateRest1, AdvanceBeta2: stateBeta2, AdvanceRest2: stateRest2},
		shaders.AdamBuffers[arg]{Param: l.update(op.Param), Grad: l.read(op.Grad), M: l.update(op.M), V: l.update(op.V),
			State: l.update(op.State), LearningRates: l.read(op.LearningRates), Counters: counters, Shares: l.readIf(op.DecayShares)}))
}

func (l *lowering) sgd(op kernels.SGD) {
	n := op.Param.Len()
	withMomentum := !op.M.Absent()
	var m arg
	if withMomentum {
		m = l.update(op.M)
	}
	l.each(ceilDiv(n, 4), shaders.SGD(shaders.SGDSpec{WithMomentum: withMomentum, Nesterov: op.Nesterov, WithShares: !op.DecayShares.Absent()},
		shaders.SGDPush{Len: n, Momentum: op.Momentum, WeightDecay: op.WeightDecay},
		shaders.SGDBuffers[arg]{Param: l.update(op.Param), Grad: l.read(op.Grad), State: l.read(op.State),
			LearningRates: l.read(op.LearningRates), M: m, Shares: l.readIf(op.DecayShares)}))
}

// decay rounds β and 1−β to float32, each once.
func decay(beta float64) (b, rest float32) { return float32(beta), float32(1 - beta) }
