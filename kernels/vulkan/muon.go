//go:build cgo

package vulkan

import (
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/shaders"
)

func (l *lowering) muonMomentum(op kernels.MuonMomentum) {
	n := op.Grad.Len()
	mu, rest := decay(op.Momentum)
	l.each(ceilDiv(n, 4), shaders.MuonMomentum(shaders.MuonMomentumPush{Len: n, Momentum: mu, OneMinusMomentum: rest},
		shaders.MuonMomentumBuffers[arg]{Grad: l.update(op.Grad), M: l.update(op.M)}))
}

func (l *lowering) muonNormalize(op kernels.MuonNormalize) {
	l.each(ceilDiv(op.Gram.Len(), 4), shaders.MuonNormalize(shaders.MuonNormalizePush{Extent: op.Gram.Dim(0), Eps: kernels.MuonEps},
		shaders.MuonNormalizeBuffers[arg]{Gram: l.read(op.Gram), A: l.write(op.A), Norm: l.write(op.Norm)}))
}

func (l *lowering) newtonSchulz(op kernels.NewtonSchulz) {
	l.each(op.A.Len(), shaders.NewtonSchulz(shaders.NewtonSchulzPush{Extent: op.A.Dim(0),
		OnQ: kernels.NewtonSchulzA, OnP: kernels.NewtonSchulzB, Factor: kernels.NewtonSchulzC},
		shaders.NewtonSchulzBuffers[arg]{A: l.read(op.A), P: l.write(op.P), Q: l.write(op.Q)}))
}

func (l *lowering) muonStep(op kernels.MuonStep) {
	n := op.Param.Len()
	l.each(ceilDiv(n, 4), shaders.MuonStep(shaders.MuonStepPush{Len: n, Scale: op.Scale, WeightDecay: op.WeightDecay},
		shaders.MuonStepBuffers[arg]{Param: l.update(op.Param), Direction: l.read(op.Direction), Norm: l.read(op.Norm),
			State: l.read(op.State), LearningRates: l.read(op.LearningRates)}))
}
