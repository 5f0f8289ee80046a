package cpuref

import (
	"github.com/fmnist-gpu/fmnist-gpu/cpuref/internal/simd"
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// kBlock is how many steps of a product's reduction are taken before the next
// tile: a panel of B that long stays in a core's cache while the tiles pass.
const kBlock = 384

// groupElements is the size of the blocks of B that are worked on at once, an
// eighth of a core's second-level cache.
const groupElements = 1 << 15

// tasksPerWorker is how many tasks a matrix product is cut into for each
// worker, so that one which starts late or runs slowly holds up little. Every
// element is computed in the same order however the product is cut.
const tasksPerWorker = 4

// matrix is an operand anywhere in memory: element (i, j) is
// data[i·row + j·col].
type matrix struct {
	data     []float32
	row, col int
}

func (m matrix) transposed() matrix { return matrix{m.data, m.col, m.row} }

// product is a matrix product of A (M, K), read where it lies, and B (K, N),
// whose rows the vector code needs contiguous: where they are not, B is packed
// in panels of the tile's width first. A product whose B is the larger one to
// pack is computed as Cᵀ = Bᵀ·Aᵀ instead, and turned on the way out.
type product struct {
	p          *program
	a, b       matrix
	m, n, k    int
	turned     bool      // C is stored (N, M)
	c          []float32 // (M, N), or (N, M) if turned
	bias       []float32 // a value for each column of the original C, or nil
	accumulate bool

	rows   rowTiles
	panels int  // of B
	group  int  // panels that are worked on at once
	packed bool // B is packed in the shared scratch: [panel][K][tile's columns]

	rowParts, panelParts int // the grid of tasks
}

// gemm compiles a matrix product.
func (p *program) gemm(op kernels.GEMM) func() error {
	g := &product{p: p, c: p.floats(op.C), bias: p.floats(op.Bias), accumulate: op.Accumulate}
	g.m, g.n, g.k = op.MNK()
	g.a, g.b = matrix{p.floats(op.A), g.k, 1}, matrix{p.floats(op.B), g.n, 1}
	if op.TransA {
		g.a = matrix{g.a.data, 1, g.m}
	}
	if op.TransB {
		g.b = matrix{g.b.data, 1, g.k}
		turnCost := g.m * g.n
		if !op.TransA {
			turnCost += g.m * g.k
		}
		if turnCost < g.k*g.n {
			g.a, g.b, g.m, g.n = g.b.transposed(), g.a.transposed(), g.n, g.m
			g.turned = true
		}
	}
	g.layOut()
	pack, compute := g.packTask(), g.compute
	blocks := (g.k + kBlock - 1) / kBlock
	return func() error {
		if g.packed {
			p.backend.pool.run(g.panels*blocks, pack)
		}
		p.backend.pool.run(g.rowParts*g.panelParts, compute)
		return nil
	}
}

// layOut cuts the product into tiles and tasks and reserves scratch.
func (g *product) layOut() {
	k := g.p.backend.simd
	g.rows = newRowTiles(k, g.m)
	g.panels = (g.n + k.Cols - 1) / k.Cols
	g.packed = g.b.col != 1
	target := tasksPerWorker * g.p.backend.pool.workers
	if g.packed { // share the rows out, so that a task reads its part of A once
		g.rowParts = min(g.rows.count, target)
		g.panelParts = min(g.panels, (target+g.rowParts-1)/g.rowParts)
		g.p.scratch.reserveShared((g.panels*g.k + 1) * k.Cols)
	} else { // share the panels out, so that one task copies each part of B
		g.panelParts = min(g.panels, target)
		g.rowParts = min(g.rows.count, (target+g.panelParts-1)/g.panelParts)
	}
	g.group = max(1, groupElements/(min(kBlock, g.k)*k.Cols))
	private := g.blockLength()
	if g.turned {
		tilesPerTask := (g.rows.count + g.rowParts - 1) / g.rowParts
		private += (tilesPerTask*2*k.Group + 1) * g.stripWidth()
	}
	g.p.scratch.reservePrivate(private)
}

// blockLength is the private scratch that a block of a group of panels takes.
func (g *product) blockLength() int {
	return (g.group*min(kBlock, g.k) + 1) * g.p.backend.simd.Cols
}

// stripWidth is the row length of a task's strip of a turned C.
func (g *product) stripWidth() int { return g.panels * g.p.backend.simd.Cols }

// packTask returns the task that packs one block of k of one panel of B.
func (g *product) packTask() func(worker, task int) {
	k := g.p.backend.simd
	return func(_, task int) {
		panel, k0 := task%g.panels, task/g.panels*kBlock
		j := panel * k.Cols
		k.Transpose(g.p.scratch.shared[(panel*g.k+k0)*k.Cols:], k.Cols,
			g.b.data[j*g.b.col+k0:], g.b.col, min(k.Cols, g.n-j), min(kBlock, g.k-k0))
	}
}

// compute is a task: a range of row tiles by a range of panels. Panels are
// taken in groups, so that a row tile's part of A serves several from the
// first-level cache, and C is written in longer runs.
func (g *product) compute(worker, task int) {
	rowFrom, rowTo := chunk(g.rows.count, g.rowParts, task%g.rowParts)
	panelFrom, panelTo := chunk(g.panels, g.panelParts, task/g.rowParts)
	private := g.p.scratch.private[worker]
	block, strip := private[:g.blockLength()], private[g.blockLength():]
	t := &g.p.scratch.tiles[worker]
	t.RowA, t.RowC = g.a.row, g.n
	if g.turned {
		t.RowC = g.stripWidth()
		g.startStrip(strip, rowFrom, rowTo, panelFrom, panelTo)
	}
	for k0 := 0; k0 < g.k; k0 += kBlock {
		for p0 := panelFrom; p0 < panelTo; p0 += g.group {
			p1 := min(p0+g.group, panelTo)
			b := g.panelBlock(block, p0, p1, k0, rowTo-rowFrom)
			t.Walk(b.steps, g.a.col, b.row, 1, 0, 0, 1, 0, 0)
			for r := rowFrom; r < rowTo; r++ {
				for panel := p0; panel < p1; panel++ {
					t.B = &b.data[(panel-p0)*b.distance]
					g.tile(t, strip, r, rowFrom, panel, k0)
				}
			}
		}
	}
	if g.turned {
		g.finishStrip(strip, rowFrom, rowTo, panelFrom, panelTo)
	}
}

// panelBlock is a block of steps k of some panels of B: row k of panel i is
// at data[i·distance + k·row].
type panelBlock struct {
	data          []float32
	steps         int
	row, distance int
}

// panelBlock returns the block from k0 on of panels p0 to p1: out of the packed
// B, or copied to block where several row tiles use it, or in place.
func (g *product) panelBlock(block []float32, p0, p1, k0, uses int) panelBlock {
	width := g.p.backend.simd.Cols
	steps := min(kBlock, g.k-k0)
	if g.packed {
		return panelBlock{g.p.scratch.shared[(p0*g.k+k0)*width:], steps, width, g.k * width}
	}
	from := k0*g.b.row + p0*width
	if uses < 3 {
		return panelBlock{g.b.data[from:], steps, g.b.row, width}
	}
	cols := min(p1*width, g.n) - p0*width
	for k := range steps {
		row := g.b.data[from+k*g.b.row:][:cols]
		for i := 0; i < cols; i += width {
			copy(block[(i/width*steps+k)*width:][:width], row[i:])
		}
	}
	return panelBlock{block, steps, width, steps * width}
}

// tile computes one block of k of one tile. The strip begins with row tile
// firstRow.
func (g *product) tile(t *simd.Tile, strip []float32, r, firstRow, panel, k0 int) {
	k := g.p.backend.simd
	i, rows := g.rows.bounds(r)
	j := panel * k.Cols
	a := g.a.data[i*g.a.row+k0*g.a.col:]
	t.A0 = &a[0]
	rows0 := min(rows, k.Group)
	if rows > rows0 {
		t.A1 = &a[rows0*g.a.row]
	}
	t.Bias, t.Accumulate = nil, 1
	if g.turned {
		firstI, _ := g.rows.bounds(firstRow)
		t.C = &strip[(i-firstI)*t.RowC+j]
	} else {
		t.C = &g.c[i*g.n+j]
		if k0 == 0 {
			if g.bias != nil {
				t.Bias = &g.bias[j]
			}
			if !g.accumulate {
				t.Accumulate = 0
			}
		}
	}
	k.Tile(t, rows0, rows-rows0, min(k.Cols, g.n-j))
}

// startStrip gives a turned C its initial values: bias and old contents.
func (g *product) startStrip(strip []float32, rowFrom, rowTo, panelFrom, panelTo int) {
	width := g.stripWidth()
	first, end, from, to := g.stripBounds(rowFrom, rowTo, panelFrom, panelTo)
	for i := first; i < end; i++ {
		row := strip[(i-first)*width:]
		bias := float32(0)
		if g.bias != nil {
			bias = g.bias[i]
		}
		for j := from; j < to; j++ {
			row[j] = bias
			if g.accumulate {
				row[j] += g.c[j*g.m+i]
			}
		}
	}
}

// finishStrip stores a turned C.
func (g *product) finishStrip(strip []float32, rowFrom, rowTo, panelFrom, panelTo int) {
	first, end, from, to := g.stripBounds(rowFrom, rowTo, panelFrom, panelTo)
	g.p.backend.simd.Transpose(g.c[from*g.m+first:], g.m, strip[from:], g.stripWidth(), end-first, to-from)
}

// stripBounds returns the rows and columns of C that a task computes.
func (g *product) stripBounds(rowFrom, rowTo, panelFrom, panelTo int) (first, end, from, to int) {
	first, _ = g.rows.bounds(rowFrom)
	last, rows := g.rows.bounds(rowTo - 1)
	width := g.p.backend.simd.Cols
	return first, last + rows, panelFrom * width, min(panelTo*width, g.n)
}

// rowTiles cuts n rows into tiles of nearly equal height.
type rowTiles struct{ n, count int }

func newRowTiles(k *simd.Kernels, n int) rowTiles {
	return rowTiles{n, (n + 2*k.Group - 1) / (2 * k.Group)}
}

// bounds returns the first row of tile i and its number of rows.
func (r rowTiles) bounds(i int) (first, rows int) {
	from, to := chunk(r.n, r.count, i)
	return from, to - from
}
