package oracle

import (
	"math"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

func muonMomentum(m *memory, op kernels.MuonMomentum) {
	grad, buf := m.floats(op.Grad), m.floats(op.M)
	mu, rest := decay(op.Momentum)
	for i := range grad {
		g, velocity := float64(grad[i]), float64(buf[i])
		velocity += rest * (g - velocity)
		buf[i], grad[i] = float32(velocity), float32(g+mu*(velocity-g))
	}
}

func muonNormalize(m *memory, op kernels.MuonNormalize) {
	gram, a := m.floats(op.Gram), m.floats(op.A)
	trace := 0.0
	for i := 0; i < len(gram); i += op.Gram.Dim(1) + 1 {
		trace += float64(gram[i])
	}
	norm := max(math.Sqrt(trace), kernels.MuonEps)
	for i, g := range gram {
		a[i] = float32(float64(g) / (norm * norm))
	}
	m.floats(op.Norm)[0] = float32(norm)
}

func newtonSchulz(m *memory, op kernels.NewtonSchulz) {
	a, p, q := m.floats(op.A), m.floats(op.P), m.floats(op.Q)
	for i, v := range a {
		identity := 0.0
		if i%(op.A.Dim(1)+1) == 0 {
			identity = 1
		}
		p[i] = float32(float64(kernels.NewtonSchulzC)*float64(v) + float64(kernels.NewtonSchulzB)*identity)
		q[i] = float32(float64(kernels.NewtonSchulzA) * identity)
	}
}

func muonStep(m *memory, op kernels.MuonStep) error {
	param, direction := m.floats(op.Param), m.floats(op.Direction)
	lr, err := learningRate(m, op.LearningRates, m.state(op.State))
	if err != nil {
		return err
	}
	keep, rate := 1-lr*float64(op.WeightDecay), lr*float64(op.Scale)/float64(m.floats(op.Norm)[0])
	for i := range param {
		param[i] = float32(keep*float64(param[i]) - rate*float64(direction[i]))
	}
	return nil
}
