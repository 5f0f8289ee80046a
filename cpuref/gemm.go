package cpuref

import (
	"math"

	"github.com/klauspost/cpuid/v2"

	"github.com/fmnist-gpu/fmnist-gpu/cpuref/internal/simd"
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// tileElements is the number of elements of a row tile's part of A that are multiplied
// before the next tile: it stays in the first-level cache for all panels, and more steps
// of the reduction mean fewer additions to C. On an AMD EPYC (Zen 3, AVX2) the forward
// product of fashioncnn's fc1 takes 0.94 times as long with it as with 2304.
const tileElements = 5376

// groupElements is the size of the blocks of B processed at once, an eighth of a
// core's second-level cache within bounds; packedElements that of packed blocks.
var groupElements = min(max(1<<14, cpuid.CPU.Cache.L2/32), 1<<15)

const packedElements = 1 << 16

// copyTiles is the number of row tiles for which a block of B is copied, so that
// its lines do not share few sets of the cache. For fewer the copy costs more than
// it saves.
const copyTiles = 8

// A is packed if its rows are a multiple of aliasedRow apart and meet at least
// aliasedPanels panels. On an AMD EPYC (Zen 3), which predicts the way of the cache from the address,
// a tile of six rows that are 256 elements apart takes 1.14 times as long as one of rows
// 260 apart, and of rows 512 apart 1.6 times.
const aliasedRow, aliasedPanels = 256, 8

// tasksPerWorker is the number of tasks per worker of a matrix product. Several
// keep a worker that starts late or runs slowly from holding up the others.
// Every element is computed in the same order however the product is split.
const tasksPerWorker = 4

// productsPerTask is the minimum number of multiplications per task of a matrix
// product: handing fewer to another worker would not save time.
const productsPerTask = 1 << 20

// matrix is a strided operand: element (i, j) is data[i·row + j·col].
type matrix struct {
	data     []float32
	row, col int
}

func (m matrix) transposed() matrix { return matrix{m.data, m.col, m.row} }

// product is a matrix product of A (M, K), read in place or packed, and B (K, N), whose
// rows the vector code needs contiguous: if they are not, B is first packed in
// panels of the tile's width. If packing B in every run costs more than transposing
// C, the product computes Cᵀ = Bᵀ·Aᵀ and transposes it on the way out.
type product struct {
	p          *program
	a, b       matrix
	m, n, k    int
	transposed bool      // C is stored (N, M)
	c          []float32 // (M, N), or (N, M) if transposed
	bias       []float32 // one value per column of the original C, or nil
	accumulate bool

	rows    rowTiles
	depth   int      // steps of the reduction before the next tile
	panels  int      // of B
	group   int      // panels processed at once
	packed  bool     // B is packed
	weights *weights // packed B: [panel][K][tile's columns]

	// A is packed too if its k is not contiguous, because the lines of a column
	// of A can share few sets of the cache, or if its rows are aliased: at the start
	// of the shared scratch, [row tile][K][tile's rows].
	packedA bool

	rowParts, panelParts int // the grid of tasks
	blockLength          int // private scratch for B
}

// gemm compiles a matrix product.
func (p *program) gemm(op kernels.GEMM) func() error {
	compile := p.product
	if op.Precision == kernels.Mixed {
		compile = p.mixedProduct
	}
	multiply := compile(op)
	if op.RowSums.Absent() {
		return multiply
	}
	sum := p.columnSum(kernels.ColumnSum{X: op.A, Y: op.RowSums})
	return func() error {
		if err := sum(); err != nil {
			return err
		}
		return multiply()
	}
}

// product compiles a matrix product in fp32.
func (p *program) product(op kernels.GEMM) func() error {
	g := &product{p: p, c: p.floats(op.C), bias: p.floats(op.Bias), accumulate: op.Accumulate}
	g.m, g.n, g.k = op.MNK()
	g.a, g.b = matrix{p.floats(op.A), g.k, 1}, matrix{p.floats(op.B), g.n, 1}
	if op.TransA {
		g.a = matrix{g.a.data, 1, g.m}
	}
	if op.TransB {
		g.b = matrix{g.b.data, 1, g.k}
		transposeCost := g.m * g.n
		if !op.TransA {
			transposeCost += g.m * g.k
		}
		if p.writes[op.B.Buffer] && transposeCost < g.k*g.n {
			g.a, g.b, g.m, g.n = g.b.transposed(), g.a.transposed(), g.n, g.m
			g.transposed = true
		}
	}
	g.layOut()
	prepare := func() {}
	if g.packed {
		prepare = g.packing(op)
	}
	compute := g.compute
	packA := func(_, task int) { g.packA(task) }
	return func() error {
		if g.packedA {
			p.pool.run(g.rows.count, packA)
		}
		prepare()
		p.pool.run(g.rowParts*g.panelParts, compute)
		return nil
	}
}

// layOut splits the product into tiles and tasks and reserves scratch.
func (g *product) layOut() {
	k := g.p.backend.simd
	g.rows = newRowTiles(k.Group, g.m)
	g.depth = tileElements / (2 * k.Group)
	g.panels = (g.n + k.Cols - 1) / k.Cols
	g.packed = g.b.col != 1
	g.packedA = g.a.col != 1 || g.a.row%aliasedRow == 0 && g.panels >= aliasedPanels
	if g.packedA {
		g.p.scratch.reserveShared(g.m * g.k)
	}
	g.split(min(tasksPerWorker*g.p.pool.workers, 1+g.m*g.n*g.k/productsPerTask))
	steps, elements := min(g.depth, g.k), groupElements
	if g.packed {
		elements = packedElements
	}
	g.group = max(1, elements/(steps*k.Cols))
	g.blockLength = (g.group*steps + 1) * k.Cols
	strip := 0
	if g.transposed {
		tilesPerTask := (g.rows.count + g.rowParts - 1) / g.rowParts
		strip = (tilesPerTask*2*k.Group + 1) * g.stripWidth()
	}
	g.p.scratch.reservePrivate(g.blockLength + strip)
}

// split sets the grid of tasks, of the wanted number or a few more. If B is packed, it
// is the grid whose tasks read the fewest elements of A and B; otherwise it splits the
// panels, so that one task copies each part of B.
func (g *product) split(wanted int) {
	if !g.packed {
		g.panelParts = min(g.panels, wanted)
		g.rowParts = min(g.rows.count, (wanted+g.panelParts-1)/g.panelParts)
		return
	}
	fewest := math.MaxInt
	for rowParts := max(1, min(g.rows.count, wanted/g.panels)); rowParts <= min(g.rows.count, wanted); rowParts++ {
		panelParts := min(g.panels, (wanted+rowParts-1)/rowParts)
		if read := rowParts*g.n + panelParts*g.m; read < fewest {
			fewest, g.rowParts, g.panelParts = read, rowParts, panelParts
		}
	}
}

// stripWidth is the row length of a task's strip of a transposed C.
func (g *product) stripWidth() int { return g.panels * g.p.backend.simd.Cols }

// packing returns the function that packs B, in tasks of several blocks of its
// panels.
func (g *product) packing(op kernels.GEMM) func() {
	k := g.p.backend.simd
	from, at := op.B, 0
	if g.transposed {
		from = op.A
	}
	if g.packedA {
		at = g.m * g.k
	}
	g.weights = g.p.newWeights(from, "product", at, (g.panels*g.k+1)*k.Cols)
	blocks := g.panels * ((g.k + g.depth - 1) / g.depth)
	tasks := min(blocks, 1+g.n*g.k/elementsPerTask)
	pack := func(_, task int) {
		from, to := chunk(blocks, tasks, task)
		for i := from; i < to; i++ {
			panel, k0 := i%g.panels, i/g.panels*g.depth
			j := panel * k.Cols
			k.Transpose(g.weights.data()[(panel*g.k+k0)*k.Cols:], k.Cols,
				g.b.data[j*g.b.col+k0:], g.b.col, min(k.Cols, g.n-j), min(g.depth, g.k-k0))
		}
	}
	return func() { g.weights.prepare(tasks, pack) }
}

// productPart is the part that a task computes, row tiles [rowFrom, rowTo) by
// panels [panelFrom, panelTo), and its scratch.
type productPart struct {
	rowFrom, rowTo, panelFrom, panelTo int
	block                              []float32 // of B
	strip                              []float32 // of a transposed C
}

func (g *product) part(worker, task int) productPart {
	var part productPart
	part.rowFrom, part.rowTo = chunk(g.rows.count, g.rowParts, task%g.rowParts)
	part.panelFrom, part.panelTo = chunk(g.panels, g.panelParts, task/g.rowParts)
	private := g.p.scratch.private[worker]
	part.block, part.strip = private[:g.blockLength], private[g.blockLength:]
	return part
}

// packA packs row tile r of A.
func (g *product) packA(r int) {
	i, rows := g.rows.bounds(r)
	packed := g.p.scratch.shared[i*g.k:]
	if g.a.col == 1 {
		g.p.backend.simd.Transpose(packed, rows, g.a.data[i*g.a.row:], g.a.row, rows, g.k)
		return
	}
	for k := range g.k {
		copy(packed[k*rows:(k+1)*rows], g.a.data[k*g.a.col+i:])
	}
}

// rowTile is a row tile's first row, numbers of rows, and part of A.
type rowTile struct {
	first, rows0, rows1 int
	a                   []float32
	row, col            int // distances in a
}

// rowTile returns row tile r for the block of k that starts at k0.
func (g *product) rowTile(r, k0 int) rowTile {
	i, rows := g.rows.bounds(r)
	rows0 := min(rows, g.p.backend.simd.Group)
	t := rowTile{first: i, rows0: rows0, rows1: rows - rows0, row: g.a.row, col: g.a.col}
	if g.packedA {
		t.a, t.row, t.col = g.p.scratch.shared[i*g.k+k0*rows:], 1, rows
	} else {
		t.a = g.a.data[i*g.a.row+k0*g.a.col:]
	}
	return t
}

// compute is a task. It processes panels in groups, so that they share a row
// tile's part of A in the first-level cache and C is written in longer runs.
func (g *product) compute(worker, task int) {
	part := g.part(worker, task)
	t := &g.p.scratch.tiles[worker]
	t.RowC = g.n
	if g.transposed {
		t.RowC = g.stripWidth()
		g.startStrip(&part)
	}
	for k0 := 0; k0 < g.k; k0 += g.depth {
		for p0 := part.panelFrom; p0 < part.panelTo; p0 += g.group {
			g.computeGroup(t, &part, p0, min(p0+g.group, part.panelTo), k0)
		}
	}
	t.Ahead, t.StepAhead, t.JumpAhead = nil, 0, 0
	if g.transposed {
		g.finishStrip(&part)
	}
}

// computeGroup computes panels [p0, p1) for the block of k that starts at k0.
func (g *product) computeGroup(t *simd.Tile, part *productPart, p0, p1, k0 int) {
	steps := min(g.depth, g.k-k0)
	b := g.panelBlock(part, p0, p1, k0, steps)
	tiles := (part.rowTo - part.rowFrom) * (p1 - p0)
	ahead := newFetch(g.nextPanels(part, p1, k0, steps), tiles, steps)
	for r := part.rowFrom; r < part.rowTo; r++ {
		if g.packed {
			ahead = newFetch(g.nextRows(part, r, k0, steps), p1-p0, steps)
		}
		rows := g.rowTile(r, k0)
		t.RowA = rows.row
		t.Walk(ahead.segment, rows.col, b.row, steps/ahead.segment, ahead.segment*rows.col, ahead.segment*b.row, 1, 0, 0)
		for panel := p0; panel < p1; panel++ {
			ahead.next(t)
			t.B = &b.data[(panel-p0)*b.distance]
			g.tile(t, part, &rows, panel, k0)
		}
	}
}

// nextPanels returns the block of B after panel p1, if it is not packed.
func (g *product) nextPanels(part *productPart, p1, k0, steps int) block {
	if g.packed || p1 == part.panelTo {
		return block{}
	}
	width := g.p.backend.simd.Cols
	cols := min(g.n, min(p1+g.group, part.panelTo)*width) - p1*width
	return block{g.b.data[k0*g.b.row+p1*width:], g.b.row, steps, cols}
}

// nextRows returns the part of A of the tile after row tile r, if it is not
// packed.
func (g *product) nextRows(part *productPart, r, k0, steps int) block {
	if g.packedA || r+1 == part.rowTo {
		return block{}
	}
	i, rows := g.rows.bounds(r + 1)
	return block{g.a.data[i*g.a.row+k0:], g.a.row, rows, steps}
}

// block is a part of a matrix with contiguous columns.
type block struct {
	data            []float32
	row, rows, cols int
}

// fetch has consecutive tiles fetch the block that the tiles after them need: as
// they compute, the lines arrive, evenly spread over time. The hardware does not
// foresee them if the rows of the matrix are long.
type fetch struct {
	block       // what is left
	perTile int // rows
	segment int // steps of a tile per row
}

// newFetch returns the fetch of a block by the given number of tiles of so many
// steps each, or an empty one if the steps cannot be split evenly.
func newFetch(b block, tiles, steps int) fetch {
	f := fetch{block: b, perTile: 1}
	for f.perTile*tiles < b.rows {
		f.perTile *= 2
	}
	f.segment = steps / f.perTile
	if steps%f.perTile != 0 {
		return fetch{segment: steps}
	}
	return f
}

// next sets what the next tile fetches.
func (f *fetch) next(t *simd.Tile) {
	t.Ahead, t.StepAhead, t.JumpAhead = nil, 0, 0
	if f.rows <= 0 {
		return
	}
	t.Ahead = &f.data[0]
	t.StepAhead = (f.cols + f.segment - 1) / f.segment
	t.JumpAhead = f.row - f.segment*t.StepAhead
	if f.rows -= f.perTile; f.rows > 0 {
		f.data = f.data[f.perTile*f.row:]
	}
}

// panelBlock is a block of rows of several panels of B: row k of panel i starts
// at data[i·distance + k·row].
type panelBlock struct {
	data          []float32
	row, distance int
}

// panelBlock returns steps rows from k0 of panels [p0, p1): from the packed B,
// as a copy if many row tiles use it, or in place.
func (g *product) panelBlock(part *productPart, p0, p1, k0, steps int) panelBlock {
	width := g.p.backend.simd.Cols
	if g.packed {
		return panelBlock{g.weights.data()[(p0*g.k+k0)*width:], width, g.k * width}
	}
	if part.rowTo-part.rowFrom < copyTiles {
		return panelBlock{g.b.data[k0*g.b.row+p0*width:], g.b.row, width}
	}
	for panel := p0; panel < p1; panel++ {
		to, j := part.block[(panel-p0)*steps*width:], panel*width
		if cols := g.n - j; cols < width {
			for k := range steps {
				copy(to[k*width:][:cols], g.b.data[(k0+k)*g.b.row+j:])
			}
			break
		}
		g.p.backend.simd.CopyPanel(to, g.b.data[k0*g.b.row+j:], g.b.row, steps)
	}
	return panelBlock{part.block, width, steps * width}
}

// tile computes one tile for the block of k that starts at k0.
func (g *product) tile(t *simd.Tile, part *productPart, rows *rowTile, panel, k0 int) {
	k := g.p.backend.simd
	j := panel * k.Cols
	t.A0 = &rows.a[0]
	if rows.rows1 > 0 {
		t.A1 = &rows.a[rows.rows0*rows.row]
	}
	t.Bias, t.Accumulate = nil, 1
	if g.transposed {
		first, _ := g.rows.bounds(part.rowFrom)
		t.C = &part.strip[(rows.first-first)*t.RowC+j]
	} else {
		t.C = &g.c[rows.first*g.n+j]
		if k0 == 0 && g.bias != nil {
			t.Bias = &g.bias[j]
		}
		if k0 == 0 && !g.accumulate {
			t.Accumulate = 0
		}
	}
	k.Tile(t, rows.rows0, rows.rows1, min(k.Cols, g.n-j))
}

// startStrip sets a transposed C to its initial values: bias and old contents.
func (g *product) startStrip(part *productPart) {
	width := g.stripWidth()
	first, end, from, to := g.stripBounds(part)
	for i := first; i < end; i++ {
		row := part.strip[(i-first)*width:]
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

// finishStrip stores a transposed C.
func (g *product) finishStrip(part *productPart) {
	first, end, from, to := g.stripBounds(part)
	g.p.backend.simd.Transpose(g.c[from*g.m+first:], g.m, part.strip[from:], g.stripWidth(), end-first, to-from)
}

// stripBounds returns the rows and columns of C that a task computes.
func (g *product) stripBounds(part *productPart) (first, end, from, to int) {
	first, _ = g.rows.bounds(part.rowFrom)
	last, rows := g.rows.bounds(part.rowTo - 1)
	width := g.p.backend.simd.Cols
	return first, last + rows, part.panelFrom * width, min(part.panelTo*width, g.n)
}

// rowTiles splits n rows into tiles of two groups and nearly equal height.
type rowTiles struct{ n, count int }

func newRowTiles(group, n int) rowTiles {
	return rowTiles{n, simd.RowTiles(group, n)}
}

// bounds returns the first row of tile i and its number of rows.
func (r rowTiles) bounds(i int) (first, rows int) {
	from, to := chunk(r.n, r.count, i)
	return from, to - from
}
