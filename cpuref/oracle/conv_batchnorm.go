package oracle

import "github.com/fmnist-gpu/fmnist-gpu/kernels"

// convBatchNormInference stores the convolution in Z, and then normalises it.
func convBatchNormInference(m *memory, op kernels.ConvBatchNormInference) {
	convForward(m, op.Conv())
	if op.ReLU {
		batchNormReLUPoolInference(m, kernels.BatchNormReLUPoolInference{X: op.Z, Gamma: op.Gamma, Beta: op.Beta,
			RunningMean: op.RunningMean, RunningVar: op.RunningVar, Y: op.Y, Size: op.Pool, Eps: op.Eps})
		return
	}
	batchNormInference(m, kernels.BatchNormInference{X: op.Z, Gamma: op.Gamma, Beta: op.Beta,
		RunningMean: op.RunningMean, RunningVar: op.RunningVar, Y: op.Y, Eps: op.Eps})
}
