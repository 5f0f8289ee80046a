//go:build cgo

package vulkan

import "github.com/fmnist-gpu/fmnist-gpu/kernels"

func (l *lowering) convBatchNormInference(op kernels.ConvBatchNormInference) {
	l.convForward(op.Conv())
	l.normalize(normalization{x: op.Z, gamma: op.Gamma, beta: op.Beta, y: op.Y, window: op.Pool, relu: op.ReLU, eps: op.Eps},
		l.read(op.RunningMean), l.read(op.RunningVar))
}
