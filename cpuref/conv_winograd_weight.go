package cpuref

import (
	"github.com/fmnist-gpu/fmnist-gpu/cpuref/internal/simd"
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// winogradWeightElements is winogradElements for the gradient of the weights, whose
// sums are loaded and stored once per block. On fashioncnn's layers (see
// winogradThatPays for the machine) a quarter of it is 9 to 18 % slower with AVX2 and 5
// to 8 % with AVX-512, twice as much 6 to 8 % and 5 to 18 %.
const winogradWeightElements = 1 << 18

// winogradWeight is a [kernels.ConvBackwardWeight] at stride 1, inside a border that
// keeps the images' extents, by Winograd's algorithm. At each of its points, the sum
// over the tiles of a group of images is a matrix product, as in weightGradient:
// M (O, I) += DYᵀ · X.
type winogradWeight struct {
	p             *program
	f             *simd.Winograd
	batch, groups int
	tiling        tiling // of a group
	i, o          int
	x, dy, dw     []float32
	dbias         *biasGradient // or nil
	sums          int           // distance between points of a group's sums, in the shared scratch: [group][point][O][I]
	splits        int           // tasks per group, by output channels

	// The private scratch holds, in order, the points of X, those of DY, and an
	// image's frame.
	inputs, gradients int // distance between points
	framesAt          int
}

// splitChannels is the number of output channels of which a task computes a
// multiple: whole vectors, and at least a tile's rows.
const splitChannels = 16

func (p *program) winogradWeight(f *simd.Winograd, op kernels.ConvBackwardWeight) func() error {
	pool, k := p.pool, p.backend.simd
	g := &winogradWeight{p: p, f: f, batch: op.X.Shape[0], i: op.X.Dim(-1), o: op.DY.Dim(-1),
		x: p.floats(op.X), dy: p.floats(op.DY), dw: p.floats(op.DW)}
	if !op.DBias.Absent() {
		g.dbias = newBiasGradient(p, op)
	}
	g.groups = (g.batch + imagesPerGroup - 1) / imagesPerGroup
	g.tiling = newTiling(f, op.X.First(min(g.batch, imagesPerGroup)), g.i+g.o, winogradWeightElements, 1)
	g.splits = min((g.o+splitChannels-1)/splitChannels, (pool.workers+g.groups-1)/g.groups)
	tiles := g.tiling.maxTiles()
	g.inputs, g.gradients = oddLines(tiles*g.i+k.Cols), oddLines(tiles*g.o)
	g.framesAt = f.Points() * (g.inputs + g.gradients)
	g.sums = oddLines(g.i * g.o)
	p.scratch.reserveShared(g.groups * f.Points() * g.sums)
	p.scratch.reservePrivate(g.framesAt + g.tiling.frameSize(max(g.i, g.o)))
	compute := g.compute
	finishTasks := min(g.o, tasksPerWorker*pool.workers)
	finish := func(_, task int) { g.finish(chunk(g.o, finishTasks, task)) }
	return func() error {
		pool.run(g.groups*g.splits, compute)
		pool.run(finishTasks, finish)
		g.dbias.combine()
		return nil
	}
}

// compute is a task: the sums of a group for a range of output channels.
func (g *winogradWeight) compute(worker, task int) {
	group := task / g.splits
	units := (g.o + splitChannels - 1) / splitChannels
	from, to := chunk(units, g.splits, task%g.splits)
	from, to = from*splitChannels, min(to*splitChannels, g.o)
	scratch := g.p.scratch.private[worker]
	t := &g.p.scratch.tiles[worker]
	t.Accumulate = 0
	for i := range g.tiling.blocks() {
		b := g.tiling.block(i)
		b.first += group * imagesPerGroup
		b.images = min(b.images, g.batch-b.first)
		if b.images <= 0 {
			break
		}
		for n := range b.images {
			b.transformInput(scratch, scratch[g.framesAt:], g.x, n, g.i, g.inputs)
			g.transformGradient(scratch, &b, n, from, to)
		}
		g.multiply(worker, &b, group, from, to)
		t.Accumulate = 1
		if from == 0 && b.top+b.tileRows() == g.tiling.tileRows() {
			g.dbias.measure(b.first, b.first+b.images)
		}
	}
}

// transformGradient computes the points of output channels [from, to) of DY of
// image n of a block.
func (g *winogradWeight) transformGradient(scratch []float32, b *tileBlock, n, from, to int) {
	m, row := g.f.Outputs, b.w*g.o
	dy := g.dy[((b.first+n)*b.h+m*b.top)*row:][:b.pixelRows()*row]
	if b.restRow+b.restCol > 0 {
		f := frame{h: b.pixelRows(), w: b.w, c: g.o, fh: m * b.tileRows(), fw: m * b.tileCols()}
		framed := scratch[g.framesAt:]
		f.fill(framed, dy)
		dy, row = framed, f.fw*f.c
	}
	points, c := scratch[g.f.Points()*g.inputs:], to-from
	for r := range b.tileRows() {
		tile, last := b.position(n, r)
		line := dy[m*r*row+from:]
		if b.cols > 0 {
			g.f.Gradient(points[tile*c:], line, b.cols, c, g.o, row, g.gradients)
		}
		if b.restCol > 0 {
			g.f.Gradient(points[last*c:], line[m*b.cols*g.o:], 1, c, g.o, row, g.gradients)
		}
	}
}

// multiply adds a block's products to a group's sums of output channels [from,
// to).
func (g *winogradWeight) multiply(worker int, b *tileBlock, group, from, to int) {
	k, c := g.p.backend.simd, to-from
	inputs := g.p.scratch.private[worker]
	gradients := inputs[g.f.Points()*g.inputs:]
	t := &g.p.scratch.tiles[worker]
	t.RowA, t.RowC, t.Bias = 1, g.i, nil
	rows := k.SplitRows(c)
	tiles, n := b.pointTiles(k), g.f.Extent()
	for point := range n * n {
		of := &tiles[point/n/(n-1)][point%n/(n-1)]
		sums := g.pointSums(group, point)[from*g.i : to*g.i]
		if of.from == of.end {
			if t.Accumulate == 0 {
				clear(sums)
			}
			continue
		}
		t.Walk(of.end-of.from, c, g.i, 1, 0, 0, 1, 0, 0)
		for j := 0; j < g.i; j += k.Cols {
			t.A0 = &gradients[point*g.gradients+of.from*c]
			t.B = &inputs[point*g.inputs+of.from*g.i+j]
			t.C = &sums[j]
			k.Rows(t, rows, min(k.Cols, g.i-j))
		}
	}
}

// pointSums returns a group's sums at a point: (O, I).
func (g *winogradWeight) pointSums(group, point int) []float32 {
	return g.p.scratch.shared[(group*g.f.Points()+point)*g.sums:][:g.i*g.o]
}

// finish adds up the groups of output channels [from, to), in order, and
// transforms the sums to DW.
func (g *winogradWeight) finish(from, to int) {
	k, taps := g.p.backend.simd, g.f.Taps*g.f.Taps
	for group := 1; group < g.groups; group++ {
		for point := range g.f.Points() {
			k.Add(g.pointSums(0, point)[from*g.i:to*g.i], g.pointSums(group, point)[from*g.i:to*g.i])
		}
	}
	for o := from; o < to; o++ {
		g.f.Weight(g.dw[o*taps*g.i:], g.p.scratch.shared[o*g.i:], g.i, g.i, g.sums)
	}
}
