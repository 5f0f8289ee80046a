package cpuref

import (
	"github.com/fmnist-gpu/fmnist-gpu/cpuref/internal/simd"
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

func (p *program) fill(op kernels.Fill) func() error {
	x := p.floats(op.X)
	return p.elementwise(len(x), func(from, to int) {
		part := x[from:to]
		part[0] = op.Value
		for done := 1; done < len(part); done *= 2 {
			copy(part[done:], part[:done])
		}
	})
}

func (p *program) columnSum(op kernels.ColumnSum) func() error {
	x, y := p.floats(op.X), p.floats(op.Y)
	m := newColumns(p.backend.simd, op.X)
	p.scratch.reserveShared(m.chunks * m.width)
	task := func(_, i int) {
		m.sum(p.backend.simd, p.scratch.shared[i*m.width:(i+1)*m.width], x, i)
	}
	total := make([]float64, m.c)
	return func() error {
		p.pool.run(m.chunks, task)
		addParts(total, p.scratch.shared, m.chunks, m.width)
		for c := range y {
			y[c] = float32(total[c])
		}
		return nil
	}
}

// columns describes how the column-wise ops split a matrix (rows, c): into
// chunks of rows, one per task, whose number depends only on the shape. A narrow
// matrix is processed as one with fewer, wider rows: fold rows side by side.
type columns struct {
	rows, c int
	fold    int
	width   int // fold·c
	chunks  int
}

// A chunk has at least minChunkElements elements, and there are at most
// maxChunks of them.
const (
	minChunkElements = 1 << 13
	maxChunks        = 32
)

func newColumns(k *simd.Kernels, x kernels.Tensor) columns {
	m := columns{fold: 1}
	m.rows, m.c = x.Matrix()
	if k.Block%m.c == 0 {
		m.fold = k.Block / m.c
	}
	m.width = m.fold * m.c
	m.chunks = min(max(1, x.Len()/minChunkElements), maxChunks, m.rows)
	return m
}

// bounds returns the rows of chunk i.
func (m *columns) bounds(i int) (from, to int) { return chunk(m.rows, m.chunks, i) }

// each calls body for the folded rows of chunk i and for the remaining rows,
// with the offset of the first element, the number of rows and their width.
func (m *columns) each(i int, body func(from, rows, width int)) {
	first, end := m.bounds(i)
	m.between(first, end, body)
}

// between is each for the rows [first, end).
func (m *columns) between(first, end int, body func(from, rows, width int)) {
	folded := (end - first) / m.fold
	if folded > 0 {
		body(first*m.c, folded, m.width)
	}
	if rest := (end - first) % m.fold; rest > 0 {
		body((end-rest)*m.c, rest, m.c)
	}
}

// sum stores the sums of chunk i of x in sum[:c]; sum has length width.
func (m *columns) sum(k *simd.Kernels, sum, x []float32, i int) {
	clear(sum)
	m.each(i, func(from, rows, width int) { k.ColumnSum(sum[:width], x[from:], width, rows) })
	m.foldSums(sum)
}

// foldSums adds up the sums of folded rows to those of c columns, in v[:c].
func (m *columns) foldSums(v []float32) {
	for i := m.c; i < m.width; i += m.c {
		for c := range m.c {
			v[c] += v[i+c]
		}
	}
}

// repeat repeats v[:c] to the width of folded rows.
func (m *columns) repeat(v []float32) {
	for i := m.c; i < m.width; i += m.c {
		copy(v[i:i+m.c], v[:m.c])
	}
}

// addParts adds up the parts of a sum, distance apart, in order.
func addParts(total []float64, sums []float32, parts, distance int) {
	clear(total)
	for i := range parts {
		for c, v := range sums[i*distance:][:len(total)] {
			total[c] += float64(v)
		}
	}
}
