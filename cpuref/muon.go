package cpuref

import (
	"math"

	"github.com/fmnist-gpu/fmnist-gpu/cpuref/internal/simd"
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// muonMomentum moves M towards the gradient and then the gradient towards M, as steps
// of a moving average do.
func (p *program) muonMomentum(op kernels.MuonMomentum) func() error {
	grad, m := p.floats(op.Grad), p.floats(op.M)
	mu, rest := decay(op.Momentum)
	ema, toGrad, toM := p.backend.simd.EMA, simd.EMAStep{Rate: rest}, simd.EMAStep{Rate: mu}
	return p.elementwise(len(grad), func(from, to int) {
		ema(m[from:to], grad[from:to], &toGrad)
		ema(grad[from:to], m[from:to], &toM)
	})
}

func (p *program) muonNormalize(op kernels.MuonNormalize) func() error {
	gram, a, norm := p.floats(op.Gram), p.floats(op.A), p.floats(op.Norm)
	n := op.Gram.Dim(1)
	var scale float32
	normalize := p.elementwise(len(gram), func(from, to int) {
		for i, g := range gram[from:to] {
			a[from+i] = scale * g
		}
	})
	return func() error {
		trace := 0.0
		for i := 0; i < len(gram); i += n + 1 {
			trace += float64(gram[i])
		}
		length := max(math.Sqrt(trace), kernels.MuonEps)
		norm[0], scale = float32(length), float32(1/(length*length))
		return normalize()
	}
}

func (p *program) newtonSchulz(op kernels.NewtonSchulz) func() error {
	a, terms, q := p.floats(op.A), p.floats(op.P), p.floats(op.Q)
	n := op.A.Dim(1)
	return p.elementwise(len(a), func(from, to int) {
		for i, v := range a[from:to] {
			terms[from+i] = kernels.NewtonSchulzC * v
		}
		clear(q[from:to])
		for i := (from + n) / (n + 1) * (n + 1); i < to; i += n + 1 {
			terms[i] += kernels.NewtonSchulzB
			q[i] = kernels.NewtonSchulzA
		}
	})
}

// muonStep is a step of SGD with the norm and the scale in its rate, and out of its
// weight decay.
func (p *program) muonStep(op kernels.MuonStep) func() error {
	param, direction, norm := p.floats(op.Param), p.floats(op.Direction), p.floats(op.Norm)
	state, rates := p.words(op.State), p.floats(op.LearningRates)
	s := simd.SGDStep{ShareG: 1}
	sgd := p.backend.simd.SGD
	update := p.elementwise(len(param), func(from, to int) { sgd(param[from:to], direction[from:to], nil, &s) })
	return func() error {
		rate, err := learningRate(rates, state[kernels.StateSlot])
		if err != nil {
			return err
		}
		scale := float64(op.Scale) / float64(norm[0])
		s.Rate, s.WeightDecay = float32(float64(rate)*scale), float32(float64(op.WeightDecay)/scale)
		return update()
	}
}
