//go:build cgo

package vulkan

import (
	"math"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/shaders"
)

// columns describes the reduction of a (rows, cols) matrix over its rows; see
// shaders/include/column_tile.glsl.
type columns struct {
	rows, cols int
	width      int // columns per workgroup, a power of two
	chunkRows  int // rows per workgroup
	chunks     int
}

// Bounds of a workgroup's width. The upper bound, a cache line, suits long
// columns; with few rows, a narrower workgroup keeps more threads busy.
const (
	mostColumns  = 32
	leastColumns = 8
)

// planColumns splits the rows into enough chunks to keep the device busy, each
// long enough to be worth a workgroup.
func (t *target) planColumns(rows, cols int) columns {
	c := columns{rows: rows, cols: cols, width: min(powerOfTwo(cols), mostColumns, t.threads)}
	const rowsPerThread = 8
	most := max(1, t.wanted/ceilDiv(cols, c.width))
	c.chunkRows = max(ceilDiv(rows, most), rowsPerThread*t.threads/c.width)
	c.chunks = ceilDiv(rows, c.chunkRows)
	return c
}

// single plans a reduction in one chunk, for the few rows that an earlier pass
// leaves; a thread takes about four.
func (t *target) single(rows, cols int) columns {
	width := max(leastColumns, t.threads/powerOfTwo(ceilDiv(rows, 4)))
	return columns{rows: rows, cols: cols, width: min(powerOfTwo(cols), width, t.threads), chunkRows: rows, chunks: 1}
}

// reduce appends a dispatch of one workgroup per tile and chunk.
func (l *lowering) reduce(c columns, call shaders.Call[arg]) {
	l.dispatch(l.threads, c.groups(), 1, call)
}

func (c columns) groups() int { return ceilDiv(c.cols, c.width) * c.chunks }

func (l *lowering) columnSum(op kernels.ColumnSum) {
	c := l.planColumns(op.X.Matrix())
	if c.chunks == 1 {
		l.sumColumns(c, l.read(op.X), l.write(op.Y))
		return
	}
	sums := l.partials(c.chunks * c.cols)
	l.sumColumns(c, l.read(op.X), arg{sums, kernels.Write})
	l.sumChunks(c, sums, l.write(op.Y))
}

// sumColumns appends the sums of x (rows, cols) over each chunk of rows, into y
// (chunks, cols).
func (l *lowering) sumColumns(c columns, x, y arg) {
	l.reduce(c, shaders.ColumnSum(shaders.ColumnSumSpec{Columns: c.width},
		shaders.ColumnSumPush{Rows: c.rows, Cols: c.cols, ChunkRows: c.chunkRows}, shaders.ColumnSumBuffers[arg]{X: x, Y: y}))
}

// sumChunks appends the sum of partial sums (chunks, cols) into y (cols).
func (l *lowering) sumChunks(c columns, sums span, y arg) {
	l.sumColumns(l.single(c.chunks, c.cols), arg{sums, kernels.Read}, y)
}

func (l *lowering) fill(op kernels.Fill) {
	l.out = append(l.out, dispatch{op: l.op, args: []arg{l.write(op.X)}, word: math.Float32bits(op.Value)})
}
