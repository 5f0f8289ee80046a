package cpuref

import (
	"fmt"

	"github.com/fmnist-gpu/fmnist-gpu/cpuref/internal/simd"
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// In mixed precision the factors of a product are rounded to bfloat16, and two
// consecutive ones along the reduction form a pair in the space of a float32.
// Code that walks over elements walks over pairs in the same way, in half as
// many steps; only the tile that multiplies them differs. Convolutions pair
// neighbouring channels, weight gradients neighbouring images, and matrix
// products neighbouring k. A factor without a neighbour is paired with 0, but for
// convolutions of one channel, which multiply rounded factors as float32.

// checkPrecision returns an error if the tier lacks an op's arithmetic.
func (b *backend) checkPrecision(op kernels.Op) error {
	if kernels.PrecisionOf(op) == kernels.Mixed && b.simd.TilePairs == nil {
		return &kernels.PrecisionError{Reason: fmt.Sprintf("tier %s has no bfloat16 arithmetic; it needs a processor with AVX512_BF16", b.simd.Name)}
	}
	return nil
}

// multiplier multiplies tiles of two groups of up to group rows each. If uneven is
// false, the first group must be full when there is a second. If whole is true, a group
// of fewer rows takes as long as a full one.
type multiplier struct {
	group    int
	uneven   bool
	whole    bool
	multiply func(t *simd.Tile, rows0, rows1, cols int)
}

// multiplierOf returns the tier's multiplier for a precision.
func (b *backend) multiplierOf(precision kernels.Precision) multiplier {
	k := b.simd
	if precision == kernels.Mixed {
		return multiplier{k.GroupPairs, k.UnevenPairs, k.WholePairs, k.TilePairs}
	}
	return multiplier{k.Group, k.UnevenGroups, false, k.Tile}
}

// pairs returns the number of pairs that n factors form.
func pairs(n int) int { return (n + 1) / 2 }

// pairChannels rounds pixels of c channels, src (…, C), to pairs of
// neighbouring channels, dst (…, ⌈C/2⌉).
func (p *program) pairChannels(dst, src []float32, c int) {
	k := p.backend.simd
	switch {
	case c == 1:
		k.PairRows(dst, src, nil)
	case c%2 == 0:
		k.Pair(dst, src)
	default:
		for i := 0; i*c < len(src); i++ {
			k.Pair(dst[i*pairs(c):], src[i*c:(i+1)*c])
		}
	}
}

// neighbours returns rows 2i and 2i+1 of src (rows, n); the last may be missing.
func neighbours(src []float32, i, n, rows int) (first, second []float32) {
	if 2*i+1 < rows {
		second = src[(2*i+1)*n : (2*i+2)*n]
	}
	return src[2*i*n : (2*i+1)*n], second
}

// pairNeighbours rounds rows 2i and 2i+1 of src (rows, n) to a row of pairs.
func (p *program) pairNeighbours(dst, src []float32, i, n, rows int) {
	first, second := neighbours(src, i, n, rows)
	p.backend.simd.PairRows(dst, first, second)
}

// pairRow rounds elements [i·n, (i+1)·n) of two rows to pairs; second may be nil.
func (p *program) pairRow(dst, first, second []float32, i, n int) {
	if second != nil {
		second = second[i*n : (i+1)*n]
	}
	p.backend.simd.PairRows(dst, first[i*n:(i+1)*n], second)
}

// pairedMatrix rounds parts of an operand of a matrix product to pairs along k.
type pairedMatrix struct {
	p      *program
	source matrix // (N, K): N counts the rows of A or the columns of B
	k      int
}

// along rounds steps [from, to) of pairs of line i, whose k are contiguous.
func (m *pairedMatrix) along(dst []float32, i, from, to int) {
	line := m.source.data[i*m.source.row:][:m.k]
	m.p.backend.simd.Pair(dst[:to-from], line[2*from:min(2*to, m.k)])
}

// across returns two rows of factors, k and its neighbour, for lines [from, to),
// which are next to each other. The last k may have no neighbour.
func (m *pairedMatrix) across(i, from, to int) (first, second []float32) {
	if 2*i+1 < m.k {
		second = m.source.data[(2*i+1)*m.source.col:][from:to]
	}
	return m.source.data[2*i*m.source.col:][from:to], second
}

// rows stores steps [k0, k1) of pairs of lines [from, to) as rows of A, distance
// apart. scratch must hold as many pairs.
func (m *pairedMatrix) rows(dst []float32, distance, from, to, k0, k1 int, scratch []float32) {
	n := to - from
	if m.source.col == 1 {
		for i := range n {
			m.along(dst[i*distance:], from+i, k0, k1)
		}
		return
	}
	for k := k0; k < k1; k++ {
		first, second := m.across(k, from, to)
		m.p.backend.simd.PairRows(scratch[(k-k0)*n:], first, second)
	}
	m.p.backend.simd.Transpose(dst, distance, scratch, n, k1-k0, n)
}

// panels stores steps [k0, k1) of pairs of lines [from, to) as panels of B, one after
// the other, each in rows of a tile's width. scratch must hold as many pairs.
func (m *pairedMatrix) panels(dst []float32, from, to, k0, k1 int, scratch []float32) {
	k := m.p.backend.simd
	width, steps := k.Cols, k1-k0
	if m.source.col != 1 {
		for i := range steps {
			first, second := m.across(k0+i, from, to)
			k.PairPanels(dst[i*width:], steps*width, first, second)
		}
		return
	}
	for i := from; i < to; i += width {
		cols := min(width, to-i)
		for j := range cols {
			m.along(scratch[j*steps:], i+j, k0, k1)
		}
		k.Transpose(dst[(i-from)*steps:], width, scratch, steps, cols, steps)
	}
}
