//go:build cgo

package vulkan

import "github.com/fmnist-gpu/fmnist-gpu/kernels"

func (l *lowering) batchNormReLUPoolForward(op kernels.BatchNormReLUPoolForward) {
	l.normalize(normalization{x: op.X, gamma: op.Gamma, beta: op.Beta, y: op.Y, index: op.Index, invStd: op.InvStd,
		runningMean: op.RunningMean, runningVar: op.RunningVar, window: op.Size, relu: true, momentum: op.Momentum, eps: op.Eps},
		l.read(op.Mean), l.read(op.Var))
}

func (l *lowering) batchNormReLUPoolInference(op kernels.BatchNormReLUPoolInference) {
	l.normalize(normalization{x: op.X, gamma: op.Gamma, beta: op.Beta, y: op.Y, window: op.Size, relu: true, eps: op.Eps},
		l.read(op.RunningMean), l.read(op.RunningVar))
}

func (l *lowering) batchNormReLUPoolBackward(op kernels.BatchNormReLUPoolBackward) {
	l.normalizeBackward(op, true)
}
