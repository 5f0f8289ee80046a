//go:build cgo

package vulkan

import (
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/shaders"
)

func (l *lowering) convBatchNormInference(op kernels.ConvBatchNormInference) {
	conv := op.Conv()
	p := l.outputProduct(conv)
	if op.Pool > 1 || l.unfused || p.splits > 1 && !l.lastGroup {
		l.convForward(conv)
		l.normalize(normalization{x: op.Z, gamma: op.Gamma, beta: op.Beta, y: op.Y, window: op.Pool, relu: op.ReLU, eps: op.Eps},
			l.read(op.RunningMean), l.read(op.RunningVar))
		return
	}
	l.multiply(multiplication{product: p, c: op.Y, bias: op.Bias, mixed: mixed(op),
		call: func(s shared) shaders.Call[arg] {
			return shaders.ConvForward(shaders.ConvForwardSpec{MatrixTileSpec: s.tile, ConvShapeSpec: convShape(op.X, op.W, op.Stride, op.Pad),
				WithStatistics: false, Combine: false, Normalize: true, WithReLU: op.ReLU},
				shaders.ConvForwardPush{Pixels: p.m, SplitK: p.splitK, WithBias: flag(s.withBias), Eps: op.Eps},
				shaders.ConvForwardBuffers[arg]{X: l.read(op.X), Weight: l.read(op.W), Bias: s.bias, Y: s.result, Parts: s.parts, Counters: s.counters,
					Partials: arg{}, Mean: l.read(op.RunningMean), Variance: l.read(op.RunningVar), Gamma: l.read(op.Gamma), Beta: l.read(op.Beta)})
		}})
}
