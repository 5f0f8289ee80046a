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
// products neighbouring k. A factor without a neighbour is paired with 0.

// checkPrecision returns an error if the tier lacks an op's arithmetic.
func (b *backend) checkPrecision(op kernels.Op) error {
	if kernels.PrecisionOf(op) == kernels.Mixed && b.simd.TilePairs == nil {
		return &kernels.PrecisionError{Reason: fmt.Sprintf("tier %s has no bfloat16 arithmetic; it needs a processor with AVX512_BF16", b.simd.Name)}
	}
	return nil
}

// tileOf returns the tile for a precision.
func (p *program) tileOf(precision kernels.Precision) tileFunc {
	if precision == kernels.Mixed {
		return p.backend.simd.TilePairs
	}
	return p.backend.simd.Tile
}

// tileFunc is [simd.Kernels].Tile or TilePairs.
type tileFunc = func(t *simd.Tile, rows0, rows1, cols int)

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

// pairNeighbours rounds rows 2i and 2i+1 of src (rows, n) to a row of pairs.
func (p *program) pairNeighbours(dst, src []float32, i, n, rows int) {
	var second []float32
	if 2*i+1 < rows {
		second = src[(2*i+1)*n : (2*i+2)*n]
	}
	p.backend.simd.PairRows(dst, src[2*i*n:(2*i+1)*n], second)
}

// pairedMatrix is an operand of a matrix product, with its pairs in the shared
// scratch.
type pairedMatrix struct {
	p      *program
	source matrix // (N, K); N counts the rows of A or the columns of B
	n, k   int
	along  bool // k is contiguous in the source
	offset int  // of the pairs
	tasks  int
}

// newPairedMatrix returns the pairs of a matrix (N, K), to be stored at offset.
func newPairedMatrix(p *program, source matrix, n, k, offset int) *pairedMatrix {
	m := &pairedMatrix{p: p, source: source, n: n, k: k, along: source.col == 1, offset: offset}
	m.tasks = min(m.lines(), (n*k+elementsPerTask-1)/elementsPerTask)
	return m
}

// lines returns the number of contiguous lines of pairs.
func (m *pairedMatrix) lines() int {
	if m.along {
		return m.n
	}
	return pairs(m.k)
}

// end returns the end of the pairs, including the overread of a tile.
func (m *pairedMatrix) end() int {
	return m.offset + m.n*pairs(m.k) + m.p.backend.simd.Cols
}

// strides returns the distances between pairs along n and along k.
func (m *pairedMatrix) strides() (outer, inner int) {
	if m.along {
		return pairs(m.k), 1
	}
	return 1, m.n
}

// data returns the pairs.
func (m *pairedMatrix) data() []float32 { return m.p.scratch.shared[m.offset:m.end()] }

// round is a task: it computes the pairs of several lines.
func (m *pairedMatrix) round(_, task int) {
	from, to := chunk(m.lines(), m.tasks, task)
	dst := m.data()
	if m.along {
		length := pairs(m.k)
		m.p.pairChannels(dst[from*length:to*length], m.source.data[from*m.k:to*m.k], m.k)
		return
	}
	for i := from; i < to; i++ {
		m.p.pairNeighbours(dst[i*m.n:], m.source.data, i, m.n, m.k)
	}
}
