package oracle

import (
	"fmt"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// batchNormReLUPoolForward normalises with the given statistics of the batch.
func batchNormReLUPoolForward(m *memory, op kernels.BatchNormReLUPoolForward) {
	mean, variance, invStd := m.floats(op.Mean), m.floats(op.Var), m.floats(op.InvStd)
	runningMean, runningVar := m.floats(op.RunningMean), m.floats(op.RunningVar)
	rows, channels := op.X.Matrix()
	for c := range channels {
		invStd[c] = float32(inverseStd(float64(variance[c]), op.Eps))
		updateRunning(&runningMean[c], float64(mean[c]), op.Momentum)
		updateRunning(&runningVar[c], unbiased(float64(variance[c]), rows), op.Momentum)
	}
	normalizeReLUPool(m, op.X, mean, variance, m.floats(op.Gamma), m.floats(op.Beta), op.Eps, op.Y, op.Index, op.Size)
}

// batchNormReLUPoolInference normalises with the running statistics.
func batchNormReLUPoolInference(m *memory, op kernels.BatchNormReLUPoolInference) {
	normalizeReLUPool(m, op.X, m.floats(op.RunningMean), m.floats(op.RunningVar), m.floats(op.Gamma), m.floats(op.Beta),
		op.Eps, op.Y, kernels.Tensor{}, op.Size)
}

// normalizeReLUPool searches each window row by row and keeps the first of the
// largest B. B is rounded as if it were stored between batch-norm and pool, so
// values that are equal in float32 tie.
func normalizeReLUPool(m *memory, xt kernels.Tensor, mean, variance, gamma, beta []float32, eps float32,
	yt, indexTensor kernels.Tensor, size int) {
	x, y, index := m.floats(xt), m.floats(yt), m.words(indexTensor)
	g := newPoolGeometry(xt, yt, size, size)
	for out := range y {
		c := out % g.c
		invStd := inverseStd(float64(variance[c]), eps)
		b := func(k int) float32 {
			xhat := (float64(x[g.input(out, k)]) - float64(mean[c])) * invStd
			return float32(xhat*float64(gamma[c]) + float64(beta[c]))
		}
		best, largest := 0, b(0)
		for k := 1; k < size*size; k++ {
			if v := b(k); v > largest {
				best, largest = k, v
			}
		}
		y[out] = max(largest, 0)
		if index != nil {
			index[out] = uint32(best)
		}
	}
}

// batchNormReLUPoolBackward passes each gradient to the element that its
// window's maximum came from, if ReLU let it pass, and then through batch-norm.
func batchNormReLUPoolBackward(m *memory, op kernels.BatchNormReLUPoolBackward) error {
	y, dy, index := m.floats(op.Y), m.floats(op.DY), m.words(op.Index)
	geometry := newPoolGeometry(op.X, op.Y, op.Size, op.Size)
	g := make([]float32, op.X.Len()) // X's shape: gradient of B
	for out := range y {
		k := uint32(0)
		if index != nil {
			k = index[out]
		}
		if k >= uint32(op.Size*op.Size) {
			return fmt.Errorf("position %d in Index is outside a window of %d×%d", k, op.Size, op.Size)
		}
		if y[out] > 0 {
			g[geometry.input(out, int(k))] = dy[out]
		}
	}
	spreadGradients(m, kernels.BatchNormBackward{X: op.X, Gamma: op.Gamma, Mean: op.Mean, InvStd: op.InvStd,
		DX: op.DX, DGamma: op.DGamma, DBeta: op.DBeta}, g)
	return nil
}
