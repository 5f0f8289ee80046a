package cpuref

import (
	"github.com/fmnist-gpu/fmnist-gpu/cpuref/internal/simd"
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// kBlock is how many steps of a product's reduction are taken before the next
// tile: a panel of B that long stays in a core's cache while the tiles pass.
const kBlock = 384

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
	private := (kBlock + 1) * k.Cols // a panel's block
	if g.turned {
		tilesPerTask := (g.rows.count + g.rowParts - 1) / g.rowParts
		private += (tilesPerTask*2*k.Group + 1) * g.stripWidth()
	}
	g.p.scratch.reservePrivate(private)
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

// compute is a task: a range of row tiles by a range of panels.
func (g *product) compute(worker, task int) {
	rowFrom, rowTo := chunk(g.rows.count, g.rowParts, task%g.rowParts)
	panelFrom, panelTo := chunk(g.panels, g.panelParts, task/g.rowParts)
	k := g.p.backend.simd
	block, strip := g.p.scratch.private[worker][:(kBlock+1)*k.Cols], g.p.scratch.private[worker][(kBlock+1)*k.Cols:]
	t := &g.p.scratch.tiles[worker]
	t.RowA, t.RowC = g.a.row, g.n
	if g.turned {
		t.RowC = g.stripWidth()
		g.startStrip(strip, rowFrom, rowTo, panelFrom, panelTo)
	}
	for k0 := 0; k0 < g.k; k0 += kBlock {
		steps := min(kBlock, g.k-k0)
		for panel := panelFrom; panel < panelTo; panel++ {
			cols := min(k.Cols, g.n-panel*k.Cols)
			b, stepB := g.panel(block, panel, k0, steps, cols, rowTo-rowFrom)
			t.B = b
			t.Walk(steps, g.a.col, stepB, 1, 0, 0, 1, 0, 0)
			for r := rowFrom; r < rowTo; r++ {
				g.tile(t, strip, r, rowFrom, panel, k0, cols)
			}
		}
	}
	if g.turned {
		g.finishStrip(strip, rowFrom, rowTo, panelFrom, panelTo)
	}
}

// panel returns the block of steps k from k0 on of a panel of B, and the
// distance of its rows: out of the packed B, or copied to block where several
// row tiles use it, or in place.
func (g *product) panel(block []float32, panel, k0, steps, cols, uses int) (b *float32, step int) {
	width := g.p.backend.simd.Cols
	if g.packed {
		return &g.p.scratch.shared[(panel*g.k+k0)*width], width
	}
	from := k0*g.b.row + panel*width
	if uses < 3 {
		return &g.b.data[from], g.b.row
	}
	for i := range steps {
		copy(block[i*width:i*width+cols], g.b.data[from+i*g.b.row:])
	}
	return &block[0], width
}

// tile computes one block of k of one tile. The strip begins with row tile
// firstRow.
func (g *product) tile(t *simd.Tile, strip []float32, r, firstRow, panel, k0, cols int) {
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
	k.Tile(t, rows0, rows-rows0, cols)
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
