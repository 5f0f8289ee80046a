//go:build cgo

package vulkan

import "github.com/fmnist-gpu/fmnist-gpu/kernels"

func (l *lowering) adam(op kernels.Adam) {
	n := op.Param.Len()
	beta1, rest1 := decay(op.Beta1)
	beta2, rest2 := decay(op.Beta2)
	l.each("adam", ceilDiv(n, 4), nil, pushed(n, beta1, rest1, beta2, rest2, op.Eps, op.WeightDecay),
		l.update(op.Param), l.read(op.Grad), l.update(op.M), l.update(op.V), l.read(op.State), l.read(op.LearningRates))
}

func (l *lowering) sgd(op kernels.SGD) {
	n := op.Param.Len()
	m, withMomentum := l.update(op.Param), !op.M.Absent() // without one, the shader leaves the binding alone
	if withMomentum {
		m = l.update(op.M)
	}
	l.each("sgd", ceilDiv(n, 4), constants(withMomentum, op.Nesterov), pushed(n, op.Momentum, op.WeightDecay),
		l.update(op.Param), l.read(op.Grad), l.read(op.State), l.read(op.LearningRates), m)
}

// decay rounds β and 1−β to float32, each once.
func decay(beta float64) (b, rest float32) { return float32(beta), float32(1 - beta) }
