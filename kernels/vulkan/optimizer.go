//go:build cgo

package vulkan

import "github.com/fmnist-gpu/fmnist-gpu/kernels"

// adam lowers a step of Adam, with the advance of its state if that joins it.
func (l *lowering) adam(op kernels.Adam, joined kernels.Op) {
	n := op.Param.Len()
	beta1, rest1 := decay(op.Beta1)
	beta2, rest2 := decay(op.Beta2)
	groups := ceilDiv(ceilDiv(n, 4), l.threads)
	counters := l.update(op.Param) // without an advance, the shader leaves its binding alone
	advance, advances := joined.(kernels.AdvanceState)
	if advances {
		counters = l.counters(1)
	}
	stateBeta1, stateRest1 := decay(advance.Beta1)
	stateBeta2, stateRest2 := decay(advance.Beta2)
	l.dispatch("adam", l.threads, groups, 1, constants(advances),
		pushed(n, beta1, rest1, beta2, rest2, op.Eps, op.WeightDecay, groups, advance.Batch, stateBeta1, stateRest1, stateBeta2, stateRest2),
		l.update(op.Param), l.read(op.Grad), l.update(op.M), l.update(op.V), l.update(op.State), l.read(op.LearningRates), counters)
}

func (l *lowering) sgd(op kernels.SGD) {
	n := op.Param.Len()
	m, withMomentum := l.update(op.Param), !op.M.Absent() // without one, the shader does not access the binding
	if withMomentum {
		m = l.update(op.M)
	}
	l.each("sgd", ceilDiv(n, 4), constants(withMomentum, op.Nesterov), pushed(n, op.Momentum, op.WeightDecay),
		l.update(op.Param), l.read(op.Grad), l.read(op.State), l.read(op.LearningRates), m)
}

// decay rounds β and 1−β to float32, each once.
func decay(beta float64) (b, rest float32) { return float32(beta), float32(1 - beta) }
