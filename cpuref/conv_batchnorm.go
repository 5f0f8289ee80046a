package cpuref

import (
	"math"

	"github.com/fmnist-gpu/fmnist-gpu/cpuref/internal/simd"
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// convBatchNormInference normalises the convolution's result part by part, while
// it is in the cache, and does not store it.
func (p *program) convBatchNormInference(op kernels.ConvBatchNormInference) func() error {
	e, update := newEpilogue(p, op)
	var conv func() error
	if f := p.backend.winogradOf(op); f != nil {
		conv = p.winogradForward(f, op.Conv(), e)
	} else {
		conv = p.directForward(op.Conv(), e)
	}
	return func() error {
		update()
		return conv()
	}
}

// epilogue is what follows a convolution in [kernels.ConvBatchNormInference].
type epilogue struct {
	*batchNormReLUPool // its x is unused: callers pass the rows
	normalize          func(y, x, mean, scale, shift []float32, ld, rows int)
	least              float32            // of the output
	packed             []float32          // see packConstants; Winograd's algorithm and Conv3x3Pool only
	joined             func(from, to int) // see takeJoined
}

// packedConstants is the length of a panel's constants.
const packedConstants = 5 * simd.WinogradConstants

// packConstants puts the constants and the convolution's bias in the order of
// [simd.Winograd]: [panel][constant][column].
func (e *epilogue) packConstants(bias []float32) {
	cols := e.k.Cols
	for from := 0; from < e.c; from += cols {
		to, end := e.packed[from/cols*packedConstants:], min(from+cols, e.c)
		for i, v := range [][]float32{simd.WinogradBias: bias, simd.WinogradMean: e.vector(0), simd.WinogradScale: e.vector(1), simd.WinogradShift: e.vector(2)} {
			copy(to[i*simd.WinogradConstants:], v[from:end])
		}
		for i := range end - from {
			to[simd.WinogradLeast*simd.WinogradConstants+i] = e.least
		}
	}
}

// newEpilogue returns the epilogue of op, and the function that updates it to the
// current statistics.
func newEpilogue(p *program, op kernels.ConvBatchNormInference) (e *epilogue, update func()) {
	e = &epilogue{batchNormReLUPool: newBatchNormReLUPool(p, op.Z, op.Y, kernels.Tensor{}, op.Pool, 3),
		normalize: p.backend.simd.Normalize, least: float32(math.Inf(-1)), joined: p.takeJoined()}
	if op.ReLU {
		e.normalize, e.least = p.backend.simd.NormalizeReLU, 0
	}
	return e, e.fromRunning(p, kernels.BatchNormReLUPoolInference{Gamma: op.Gamma, Beta: op.Beta,
		RunningMean: op.RunningMean, RunningVar: op.RunningVar, Eps: op.Eps})
}

// apply computes the output of the given number of rows of image n of a
// convolution's result: z, which starts at row first, a multiple of the pool's size.
func (e *epilogue) apply(z []float32, n, first, rows int) {
	if e.size > 1 {
		e.forwardRows(z, n, first/e.size, (first+rows)/e.size)
	} else {
		y, _ := e.outputRow(n, first)
		mean, scale, shift := e.vector(0), e.vector(1), e.vector(2)
		e.between(0, rows*e.w, func(at, rows, width int) {
			e.normalize(e.y[y+at:], z[at:], mean[:width], scale[:width], shift[:width], width, rows)
		})
	}
	e.join(n, first, rows)
}

// join runs what joins the op on the output of these rows.
func (e *epilogue) join(n, first, rows int) {
	if e.joined != nil {
		from, _ := e.outputRow(n, first/e.size)
		to, _ := e.outputRow(n, (first+rows)/e.size)
		e.joined(from, to)
	}
}
