package cpuref

import (
	"math"

	"github.com/fmnist-gpu/fmnist-gpu/cpuref/internal/simd"
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// A chunk's sums are taken about a shift, the mean of its first rows: one in
// rowsPerShiftRow, at least minShiftRows. A shift near the mean leaves little to
// cancel: the variance's relative error grows by at most 1 + (shift − mean)²/variance
// times the rounding (Chan, Golub & LeVeque 1983, the shifted algorithm). Where that is
// more than 1 + mostCancelled, as with a huge value among the first of many rows, the
// sums are taken again about the mean.
const (
	rowsPerShiftRow = 16
	minShiftRows    = 4
	mostCancelled   = 8
)

// batchNormForward computes the statistics, unless they are given, in one pass
// over X, by chunks of rows that are combined in float64, and normalises in a
// second pass.
func (p *program) batchNormForward(op kernels.BatchNormForward) func() error {
	x, y := p.floats(op.X), p.floats(op.Y)
	gamma, beta := p.floats(op.Gamma), p.floats(op.Beta)
	mean, given, invStd := p.floats(op.Mean), p.floats(op.Var), p.floats(op.InvStd)
	runningMean, runningVar := p.floats(op.RunningMean), p.floats(op.RunningVar)
	k := p.backend.simd
	m := newColumns(k, op.X)
	sums := m.chunks * m.statisticsLength()
	p.scratch.reserveShared(sums + 3*m.width)
	measure := func(_, i int) { m.measure(k, p.scratch.shared, x, i) }
	normalize := p.normalizer(&m, x, y, sums)
	batchMean, batchVar := make([]float64, m.c), make([]float64, m.c)
	return func() error {
		if given != nil {
			for c := range m.c {
				batchMean[c], batchVar[c] = float64(mean[c]), float64(given[c])
			}
		} else {
			p.pool.run(m.chunks, measure)
			m.statistics(batchMean, batchVar, p.scratch.shared)
		}
		v := p.scratch.shared[sums:]
		for c := range m.c {
			mu, variance := batchMean[c], batchVar[c]
			mean[c], invStd[c] = float32(mu), float32(1/math.Sqrt(variance+float64(op.Eps)))
			v[c], v[m.width+c], v[2*m.width+c] = mean[c], gamma[c]*invStd[c], beta[c]
			runningMean[c] = blend(runningMean[c], mu, op.Momentum)
			runningVar[c] = blend(runningVar[c], unbiased(variance, m.rows), op.Momentum)
		}
		m.repeatAll(v[:3*m.width])
		p.pool.run(m.chunks, normalize)
		return nil
	}
}

// statisticsLength is the length of one chunk's sums: its shift, Σ(x − shift)
// and Σ(x − shift)², each of length width.
func (m *columns) statisticsLength() int { return 3 * m.width }

// measure stores the sums of chunk i of x, from which statistics combines the
// mean and variance.
func (m *columns) measure(k *simd.Kernels, sums, x []float32, i int) {
	s := sums[i*m.statisticsLength() : (i+1)*m.statisticsLength()]
	clear(s)
	shift, sum, squares := s[:m.width], s[m.width:2*m.width], s[2*m.width:]
	first, end := m.bounds(i)
	rows, width := max((end-first+rowsPerShiftRow-1)/rowsPerShiftRow, min(minShiftRows, end-first)), m.c
	if rows >= m.fold {
		rows, width = rows/m.fold, m.width
	}
	k.ColumnSum(shift[:width], x[first*m.c:], width, rows)
	m.foldSums(shift)
	for c := range m.c {
		shift[c] /= float32(rows * width / m.c)
	}
	m.squares(k, x, i, shift, sum, squares)
	if n := float32(end - first); m.cancelled(n, sum, squares) {
		for c := range m.c {
			shift[c] += sum[c] / n
		}
		clear(s[m.width:])
		m.squares(k, x, i, shift, sum, squares)
	}
}

// squares adds up the differences of chunk i of x from a shift, and their squares.
func (m *columns) squares(k *simd.Kernels, x []float32, i int, shift, sum, squares []float32) {
	m.repeat(shift)
	m.each(i, func(from, rows, width int) {
		k.ColumnSquares(sum[:width], squares[:width], x[from:], shift[:width], width, rows)
	})
	m.foldSums(sum)
	m.foldSums(squares)
}

// cancelled reports whether the shift of n rows was too far from a column's mean.
func (m *columns) cancelled(n float32, sum, squares []float32) bool {
	for c := range m.c {
		if off := sum[c] * (sum[c] / n); off > mostCancelled*(squares[c]-off) && off > 0 {
			return true
		}
	}
	return false
}

// statistics combines the sums of all chunks into the mean and the biased
// variance of each column.
func (m *columns) statistics(mean, variance []float64, sums []float32) {
	clear(mean)
	clear(variance)
	for i := range m.chunks {
		rows, shift, sum, _ := m.chunkSums(sums, i)
		for c := range mean {
			mean[c] += rows*float64(shift[c]) + float64(sum[c])
		}
	}
	for c := range mean {
		mean[c] /= float64(m.rows)
	}
	for i := range m.chunks {
		rows, shift, sum, squares := m.chunkSums(sums, i)
		for c := range variance {
			s := float64(sum[c])
			d := float64(shift[c]) + s/rows - mean[c] // the chunk's mean minus the batch's
			variance[c] += max(0, float64(squares[c])-s*s/rows) + rows*d*d
		}
	}
	for c := range variance {
		variance[c] /= float64(m.rows)
	}
}

// chunkSums returns the number of rows of chunk i, its shift and its sums.
func (m *columns) chunkSums(sums []float32, i int) (rows float64, shift, sum, squares []float32) {
	from, to := m.bounds(i)
	s := sums[i*m.statisticsLength() : (i+1)*m.statisticsLength()]
	return float64(to - from), s[:m.c], s[m.width : m.width+m.c], s[2*m.width : 2*m.width+m.c]
}

// unbiased converts a biased variance of the given number of rows to the
// unbiased one; a single row keeps the biased one.
func unbiased(variance float64, rows int) float64 {
	if rows == 1 {
		return variance
	}
	return variance * float64(rows) / float64(rows-1)
}

// blend updates a running statistic with that of a batch.
func blend(running float32, batch float64, momentum float32) float32 {
	return float32((1-float64(momentum))*float64(running) + float64(momentum)*batch)
}

// normalizer returns the task that normalises a chunk by mean, scale and shift:
// c values each, width apart, in the shared scratch from position at.
func (p *program) normalizer(m *columns, x, y []float32, at int) func(worker, i int) {
	joined := p.takeJoined()
	return func(_, i int) {
		v := p.scratch.shared[at : at+3*m.width]
		mean, scale, shift := v[:m.width], v[m.width:2*m.width], v[2*m.width:]
		m.each(i, func(from, rows, width int) {
			p.backend.simd.Normalize(y[from:], x[from:], mean[:width], scale[:width], shift[:width], width, rows)
		})
		if joined != nil {
			first, end := m.bounds(i)
			joined(first*m.c, end*m.c)
		}
	}
}

func (p *program) batchNormInference(op kernels.BatchNormInference) func() error {
	gamma, beta := p.floats(op.Gamma), p.floats(op.Beta)
	mean, variance := p.floats(op.RunningMean), p.floats(op.RunningVar)
	m := newColumns(p.backend.simd, op.X)
	p.scratch.reserveShared(3 * m.width)
	normalize := p.normalizer(&m, p.floats(op.X), p.floats(op.Y), 0)
	return func() error {
		v := p.scratch.shared
		for c := range m.c {
			scale := float64(gamma[c]) / math.Sqrt(float64(variance[c])+float64(op.Eps))
			v[c], v[m.width+c], v[2*m.width+c] = mean[c], float32(scale), beta[c]
		}
		m.repeatAll(v[:3*m.width])
		p.pool.run(m.chunks, normalize)
		return nil
	}
}

// repeatAll applies repeat to several vectors, width apart.
func (m *columns) repeatAll(v []float32) {
	for i := 0; i < len(v); i += m.width {
		m.repeat(v[i : i+m.width])
	}
}

// batchNormBackward computes the two sums of each channel in one pass over X and
// DY, and applies them in a second.
func (p *program) batchNormBackward(op kernels.BatchNormBackward) func() error {
	x, dy, dx := p.floats(op.X), p.floats(op.DY), p.floats(op.DX)
	k := p.backend.simd
	m := newColumns(k, op.X)
	w := m.width
	b := newBatchNormGradient(p, op.Gamma, op.Mean, op.InvStd, op.DGamma, op.DBeta, m.rows)
	p.scratch.reserveShared((2*m.chunks + 4) * w)

	measure := func(_, i int) {
		v := p.scratch.shared[:4*w]
		s := p.scratch.shared[(4+2*i)*w : (6+2*i)*w]
		clear(s)
		m.each(i, func(from, rows, width int) {
			k.ColumnDots(s[:width], s[w:w+width], dy[from:], x[from:], v[:width], width, rows)
		})
		m.foldSums(s[:w])
		m.foldSums(s[w:])
	}
	apply := func(_, i int) {
		v := p.scratch.shared[:4*w]
		m.each(i, func(from, rows, width int) {
			k.NormalizeBackward(dx[from:], dy[from:], x[from:],
				v[:width], v[w:w+width], v[2*w:2*w+width], v[3*w:3*w+width], width, rows)
		})
	}
	return func() error {
		v, sums := p.scratch.shared[:4*w], p.scratch.shared[4*w:]
		copy(v, b.mean)
		m.repeat(v[:w])
		p.pool.run(m.chunks, measure)
		b.combine(sums, m.chunks, w)
		b.constants(v[w:], v[2*w:], v[3*w:])
		m.repeatAll(v)
		p.pool.run(m.chunks, apply)
		return nil
	}
}

// batchNormGradient is the per-channel part of the backward ops. The gradient is
// linear in DY and X:
//
//	DX = scale·DY + (slope·(X − Mean) + shift)
//	scale = Gamma·InvStd, slope = −scale·InvStd·DGamma/R, shift = −scale·DBeta/R
type batchNormGradient struct {
	gamma, mean, invStd, dgamma, dbeta []float32 // (C)
	rows                               float64
	sum, dot                           []float64 // (C), Σ DY and Σ DY·(X − Mean)
}

func newBatchNormGradient(p *program, gamma, mean, invStd, dgamma, dbeta kernels.Tensor, rows int) *batchNormGradient {
	c := gamma.Len()
	return &batchNormGradient{gamma: p.floats(gamma), mean: p.floats(mean), invStd: p.floats(invStd),
		dgamma: p.floats(dgamma), dbeta: p.floats(dbeta), rows: float64(rows),
		sum: make([]float64, c), dot: make([]float64, c)}
}

// combine adds up the sums of the parts, (parts, 2, width), to DBeta and DGamma.
func (b *batchNormGradient) combine(sums []float32, parts, width int) {
	addParts(b.sum, sums, parts, 2*width)
	addParts(b.dot, sums[width:], parts, 2*width)
	for c := range b.sum {
		b.dbeta[c] = float32(b.sum[c])
		b.dgamma[c] = float32(b.dot[c] * float64(b.invStd[c]))
	}
}

// constants stores the factors of DX for each channel.
func (b *batchNormGradient) constants(scale, slope, shift []float32) {
	for c := range b.sum {
		invStd := float64(b.invStd[c])
		s := float64(b.gamma[c]) * invStd
		scale[c] = float32(s)
		slope[c] = float32(-s * invStd * invStd * b.dot[c] / b.rows)
		shift[c] = float32(-s * b.sum[c] / b.rows)
	}
}
