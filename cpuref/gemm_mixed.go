package cpuref

import (
	"github.com/fmnist-gpu/fmnist-gpu/cpuref/internal/simd"
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// kBlock is the number of steps of a mixed product's reduction before the next tile.
const kBlock = 384

// mixedProduct is a matrix product in mixed precision. The operand with fewer tiles
// is rounded first, to the shared scratch, or B, if it holds weights that the section
// does not train and that are thus rounded once. Each task then rounds a part of the
// other, block by block, and multiplies each block while it is in the cache: large
// matrices are read once. If it costs less to transpose C than the operands, the
// product computes Cᵀ = Bᵀ·Aᵀ.
type mixedProduct struct {
	p          *program
	tile       multiplier
	a, b       pairedMatrix
	m, n, k    int  // k counts pairs
	transposed bool // C is stored (N, M)
	c          []float32
	bias       []float32 // one value per column of the original C, or nil
	accumulate bool

	tiles        rowTiles
	panels       int      // of B
	rowsStreamed bool     // the tasks round A, else B
	weights      *weights // the other operand, if it is B and rounded once
	tasks        int
	panelParts   int // parts of B's panels, each for all parts of A's rows; 1 if the tasks round B
	group        int // panels in a block of B
	blockLength  int
	length       int // of the rounded operand: (M, K) of A, or [panel][K][tile's columns] of B
}

// mixedProduct compiles a matrix product in mixed precision.
func (p *program) mixedProduct(op kernels.GEMM) func() error {
	g := &mixedProduct{p: p, tile: p.backend.multiplierOf(kernels.Mixed),
		c: p.floats(op.C), bias: p.floats(op.Bias), accumulate: op.Accumulate}
	m, n, k := op.MNK()
	a, b := matrix{p.floats(op.A), k, 1}, matrix{p.floats(op.B), 1, n} // (M, K), (N, K)
	cost, transposedCost := 0, m*n                                     // of transposing
	if op.TransA {
		a = matrix{a.data, 1, m}
		cost += m * k
	} else {
		transposedCost += m * k
	}
	if op.TransB {
		b = matrix{b.data, k, 1}
		cost += n * k
	} else {
		transposedCost += n * k
	}
	once := op.TransB && !p.writes[op.B.Buffer]
	if transposedCost < cost && !once {
		a, b, m, n, g.transposed = b, a, n, m, true
	}
	g.a, g.b = pairedMatrix{p, a, k}, pairedMatrix{p, b, k}
	g.m, g.n, g.k = m, n, pairs(k)
	if once {
		width := p.backend.simd.Cols
		g.weights = p.newWeights(op.B, "mixed product", 0, ((n+width-1)/width*g.k+1)*width)
	}
	return g.compile()
}

// compile splits the product into tiles and tasks, reserves scratch, and returns
// the function that computes it.
func (g *mixedProduct) compile() func() error {
	pool, width := g.p.pool, g.p.backend.simd.Cols
	g.tiles = newRowTiles(g.tile.group, g.m)
	g.panels = (g.n + width - 1) / width
	g.rowsStreamed = g.weights != nil || g.tiles.count > g.panels
	resident := g.tiles.count
	if g.rowsStreamed {
		resident = g.panels
	}
	g.split()
	g.reserve()
	rounds := resident * ((g.k + kBlock - 1) / kBlock)
	round := func(worker, task int) { g.round(worker, task%resident, task/resident*kBlock) }
	start, compute, finish := g.start, g.compute, g.finish
	return func() error {
		if g.weights != nil {
			g.weights.prepare(rounds, round)
		} else {
			pool.run(rounds, round)
		}
		if g.transposed {
			pool.run(g.tiles.count, start)
		}
		pool.run(g.tasks*g.panelParts, compute)
		if g.transposed {
			pool.run(g.tiles.count, finish)
		}
		return nil
	}
}

// split sets the number of tasks. Few rows meet the panels of rounded weights in
// several tasks.
func (g *mixedProduct) split() {
	streamed := g.panels
	if g.rowsStreamed {
		streamed = g.tiles.count
	}
	wanted := min(tasksPerWorker*g.p.pool.workers, 1+2*g.m*g.n*g.k/productsPerTask)
	g.tasks, g.panelParts = min(streamed, wanted), 1
	if g.weights != nil {
		g.panelParts = min(g.panels, (wanted+g.tasks-1)/g.tasks)
	}
}

// reserve reserves scratch for the operand that is rounded first, a transposed C, and
// each worker's block of the other operand.
func (g *mixedProduct) reserve() {
	scratch, width := &g.p.scratch, g.p.backend.simd.Cols
	switch {
	case g.weights != nil:
	case g.rowsStreamed:
		g.length = g.panels * g.k * width
	default:
		g.length = g.m * g.k
	}
	scratch.reserveShared(g.length)
	if g.transposed {
		scratch.reserveShared(g.length + g.m*g.n)
	}
	steps := min(kBlock, g.k)
	g.group = min(g.panels, max(1, groupElements/(steps*width)))
	g.blockLength = steps * max(2*g.tile.group, g.group*width)
	scratch.reservePrivate(2 * g.blockLength)
}

// rounded returns the operand that is rounded first.
func (g *mixedProduct) rounded() []float32 {
	if g.weights != nil {
		return g.weights.data()
	}
	return g.p.scratch.shared
}

// scratchOf splits a worker's scratch into a block and the space to transpose it.
func (g *mixedProduct) scratchOf(worker int) (block, space []float32) {
	private := g.p.scratch.private[worker]
	return private[:g.blockLength], private[g.blockLength : 2*g.blockLength]
}

// round is a task: it rounds the block from k0 of one tile's part of the operand
// that the tasks share.
func (g *mixedProduct) round(worker, i, k0 int) {
	rounded, width := g.rounded(), g.p.backend.simd.Cols
	k1 := min(k0+kBlock, g.k)
	_, space := g.scratchOf(worker)
	if g.rowsStreamed {
		g.b.panels(rounded[(i*g.k+k0)*width:], i*width, min((i+1)*width, g.n), k0, k1, space)
		return
	}
	from, rows := g.tiles.bounds(i)
	g.a.rows(rounded[from*g.k+k0:], g.k, from, from+rows, k0, k1, space)
}

// compute is a task: it rounds a part of the other operand and multiplies it.
func (g *mixedProduct) compute(worker, task int) {
	t, width := &g.p.scratch.tiles[worker], g.p.backend.simd.Cols
	for k0 := 0; k0 < g.k; k0 += kBlock {
		steps := min(kBlock, g.k-k0)
		t.Walk(steps, 1, width, 1, 0, 0, 1, 0, 0)
		if g.rowsStreamed {
			from, to := chunk(g.tiles.count, g.tasks, task%g.tasks)
			for i := from; i < to; i++ {
				g.multiplyRows(t, worker, i, task/g.tasks, k0, steps)
			}
			continue
		}
		from, to := chunk(g.panels, g.tasks, task)
		for p := from; p < to; p += g.group {
			g.multiplyPanels(t, worker, p, min(p+g.group, to), k0, steps)
		}
	}
}

// multiplyRows rounds steps of row tile i of A, from k0, and multiplies them by a part
// of the panels of B.
func (g *mixedProduct) multiplyRows(t *simd.Tile, worker, i, part, k0, steps int) {
	block, space := g.scratchOf(worker)
	first, rows := g.tiles.bounds(i)
	g.a.rows(block, steps, first, first+rows, k0, k0+steps, space)
	from, to := chunk(g.panels, g.panelParts, part)
	for p := from; p < to; p++ {
		g.multiply(t, block, steps, g.rounded()[(p*g.k+k0)*g.p.backend.simd.Cols:], i, p, k0)
	}
}

// multiplyPanels rounds steps of panels [from, to) of B, from k0, and multiplies all
// row tiles of A by them.
func (g *mixedProduct) multiplyPanels(t *simd.Tile, worker, from, to, k0, steps int) {
	block, space := g.scratchOf(worker)
	width := g.p.backend.simd.Cols
	g.b.panels(block, from*width, min(to*width, g.n), k0, k0+steps, space)
	for i := range g.tiles.count {
		first, _ := g.tiles.bounds(i)
		for p := from; p < to; p++ {
			g.multiply(t, g.p.scratch.shared[first*g.k+k0:], g.k, block[(p-from)*steps*width:], i, p, k0)
		}
	}
}

// multiply computes the block from k0 of one tile of C; a's rows are distance apart.
func (g *mixedProduct) multiply(t *simd.Tile, a []float32, distance int, b []float32, i, panel, k0 int) {
	first, rows := g.tiles.bounds(i)
	rows0, j := min(rows, g.tile.group), panel*g.p.backend.simd.Cols
	t.A0, t.B, t.RowA, t.RowC = &a[0], &b[0], distance, g.n
	if rows > rows0 {
		t.A1 = &a[rows0*distance]
	}
	t.Bias, t.Accumulate = nil, 1
	if g.transposed {
		t.C = &g.result()[first*g.n+j]
	} else {
		t.C = &g.c[first*g.n+j]
		if k0 == 0 && g.bias != nil {
			t.Bias = &g.bias[j]
		}
		if k0 == 0 && !g.accumulate {
			t.Accumulate = 0
		}
	}
	g.tile.multiply(t, rows0, rows-rows0, min(g.p.backend.simd.Cols, g.n-j))
}

// result returns the transposed C (M, N).
func (g *mixedProduct) result() []float32 { return g.p.scratch.shared[g.length:][:g.m*g.n] }

// start is a task: it sets a tile's rows of a transposed C to the bias and the old
// contents.
func (g *mixedProduct) start(_, task int) {
	first, rows := g.tiles.bounds(task)
	for i := first; i < first+rows; i++ {
		row := g.result()[i*g.n:][:g.n]
		clear(row)
		if g.accumulate {
			for j := range row {
				row[j] = g.c[j*g.m+i]
			}
		}
		if g.bias != nil {
			for j := range row {
				row[j] += g.bias[i]
			}
		}
	}
}

// finish is a task: it stores a tile's rows of a transposed C.
func (g *mixedProduct) finish(_, task int) {
	first, rows := g.tiles.bounds(task)
	g.p.backend.simd.Transpose(g.c[first:], g.m, g.result()[first*g.n:], g.n, rows, g.n)
}
