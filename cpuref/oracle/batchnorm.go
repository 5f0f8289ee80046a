package oracle

import (
	"math"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// batchNormForward computes the statistics of each channel in two passes: first
// the mean, then the mean squared distance from it.
func batchNormForward(m *memory, op kernels.BatchNormForward) {
	x, y := m.floats(op.X), m.floats(op.Y)
	gamma, beta := m.floats(op.Gamma), m.floats(op.Beta)
	savedMean, savedInvStd, given := m.floats(op.Mean), m.floats(op.InvStd), m.floats(op.Var)
	runningMean, runningVar := m.floats(op.RunningMean), m.floats(op.RunningVar)
	rows, channels := op.X.Matrix()
	for c := range channels {
		var mean, variance float64
		if given != nil {
			mean, variance = float64(savedMean[c]), float64(given[c])
		} else {
			mean, variance = statistics(x[c:], rows, channels)
		}
		invStd := inverseStd(variance, op.Eps)
		for r := range rows {
			xhat := (float64(x[r*channels+c]) - mean) * invStd
			y[r*channels+c] = float32(xhat*float64(gamma[c]) + float64(beta[c]))
		}
		savedMean[c], savedInvStd[c] = float32(mean), float32(invStd)
		updateRunning(&runningMean[c], mean, op.Momentum)
		updateRunning(&runningVar[c], unbiased(variance, rows), op.Momentum)
	}
}

// inverseStd returns 1 / √(variance + eps).
func inverseStd(variance float64, eps float32) float64 { return 1 / math.Sqrt(variance+float64(eps)) }

// unbiased turns the biased variance of a sample into the unbiased estimate. For
// one row there is none, so the variance stays as it is.
func unbiased(variance float64, rows int) float64 {
	if rows == 1 {
		return variance
	}
	return variance * float64(rows) / float64(rows-1)
}

// updateRunning moves a running statistic towards the batch's by momentum.
func updateRunning(running *float32, batch float64, momentum float32) {
	*running = float32((1-float64(momentum))*float64(*running) + float64(momentum)*batch)
}

// statistics returns the mean and the biased variance of rows elements of x that
// are stride apart.
func statistics(x []float32, rows, stride int) (mean, variance float64) {
	for r := range rows {
		mean += float64(x[r*stride])
	}
	mean /= float64(rows)
	for r := range rows {
		d := float64(x[r*stride]) - mean
		variance += d * d
	}
	return mean, variance / float64(rows)
}

// batchNormInference normalises with the running statistics.
func batchNormInference(m *memory, op kernels.BatchNormInference) {
	x, y := m.floats(op.X), m.floats(op.Y)
	gamma, beta := m.floats(op.Gamma), m.floats(op.Beta)
	runningMean, runningVar := m.floats(op.RunningMean), m.floats(op.RunningVar)
	rows, channels := op.X.Matrix()
	for r := range rows {
		for c := range channels {
			i := r*channels + c
			xhat := (float64(x[i]) - float64(runningMean[c])) / math.Sqrt(float64(runningVar[c])+float64(op.Eps))
			y[i] = float32(xhat*float64(gamma[c]) + float64(beta[c]))
		}
	}
}

func batchNormBackward(m *memory, op kernels.BatchNormBackward) {
	spreadGradients(m, op, m.floats(op.DY))
}

// spreadGradients computes the two sums of each channel, then DX from them; dy
// replaces op.DY.
func spreadGradients(m *memory, op kernels.BatchNormBackward, dy []float32) {
	x, dx := m.floats(op.X), m.floats(op.DX)
	gamma, mean, invStd := m.floats(op.Gamma), m.floats(op.Mean), m.floats(op.InvStd)
	dgamma, dbeta := m.floats(op.DGamma), m.floats(op.DBeta)
	rows, channels := op.X.Matrix()
	for c := range channels {
		xhat := func(i int) float64 { return (float64(x[i]) - float64(mean[c])) * float64(invStd[c]) }
		sumDY, sumDYXhat := 0.0, 0.0
		for i := c; i < rows*channels; i += channels {
			sumDY += float64(dy[i])
			sumDYXhat += float64(dy[i]) * xhat(i)
		}
		scale := float64(gamma[c]) * float64(invStd[c])
		for i := c; i < rows*channels; i += channels {
			dx[i] = float32(scale * (float64(dy[i]) - sumDY/float64(rows) - xhat(i)*sumDYXhat/float64(rows)))
		}
		dgamma[c], dbeta[c] = float32(sumDYXhat), float32(sumDY)
	}
}
