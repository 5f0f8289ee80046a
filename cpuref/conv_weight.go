package cpuref

import (
	"github.com/fmnist-gpu/fmnist-gpu/cpuref/internal/simd"
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// The gradient of the weights is computed for groups of images; each group has
// its own sum, and the sums are added in order.
const (
	imagesPerGroup     = 16
	imagesPerGroupTaps = 4 // in compileByTaps, whose sums are small
	// chunkElements is the number of elements of X and DY processed at once: they
	// stay close to the first-level cache for all tiles. Pairs take a quarter of the
	// second-level cache, because the fastest tiles multiply them in less time than it
	// takes to load and store a tile's sums.
	chunkElements       = 1 << 14
	pairedChunkElements = 1 << 17
	// pairedTasksPerWorker replaces tasksPerWorker where each task of a group rounds
	// and transposes all of its images.
	pairedTasksPerWorker = 2
)

// weightGradient is a compiled [kernels.ConvBackwardWeight]:
// for each kh, DW (O, KW·I) += DYᵀ · X, where row (oh, ow) of X is the KW·I
// consecutive elements of the frame under the filter's row kh.
type weightGradient struct {
	p         *program
	tile      multiplier
	paired    bool // mixed precision: an image holds two, paired pixel by pixel
	batch     int  // images of X and DY
	frame     frame
	kh, kw    int
	stride    int
	oh, ow, o int
	images    int
	x, dy, dw []float32
	dbias     *biasGradient // or nil
	groups    int
	perGroup  int // images
	perChunk  int // images
	rows      rowTiles
	panels    int            // of KW·I
	splits    int            // tasks per group
	tapLine   int            // see copyByTap
	by3x3     []simd.Conv3x3 // see operands3x3
}

func (g *weightGradient) rowTaps() int { return g.kw * g.frame.c }
func (g *weightGradient) taps() int    { return g.kh * g.rowTaps() }
func (g *weightGradient) pixels() int  { return g.oh * g.ow }

// group returns the images of group i.
func (g *weightGradient) group(i int) (from, to int) {
	return i * g.perGroup, min((i+1)*g.perGroup, g.images)
}

// cutGroups sets the groups to the given number of images of the batch each.
func (g *weightGradient) cutGroups(images int) {
	if g.paired {
		images /= 2
	}
	g.perGroup = images
	g.groups = (g.images + images - 1) / images
}

// load copies the given number of images from n into frames.
func (g *weightGradient) load(frames []float32, n, images int) {
	f := &g.frame
	row := f.w * f.c
	for i := range images {
		to := frames[i*f.size():]
		if !g.paired {
			f.fill(to, g.x[(n+i)*f.imageSize():])
			continue
		}
		first, second := neighbours(g.x, n+i, f.imageSize(), g.batch)
		f.fillRows(to, 0, f.fh, func(line []float32, h int) { g.p.pairRow(line, first, second, h, row) })
	}
}

// measureBias adds the given images of DY, from n, to the bias gradient, if there
// is one.
func (g *weightGradient) measureBias(n, images int) {
	if g.paired {
		g.dbias.measure(2*n, min(2*(n+images), g.batch))
		return
	}
	g.dbias.measure(n, n+images)
}

func (g *weightGradient) compile() func() error {
	pool, k := g.p.pool, g.p.backend.simd
	g.cutGroups(imagesPerGroup)
	elements, tasks := chunkElements, tasksPerWorker*pool.workers
	if g.paired {
		elements, tasks = pairedChunkElements, pairedTasksPerWorker*pool.workers
	}
	g.perChunk = min(max(1, elements/(g.frame.size()+g.pixels()*g.o)), g.perGroup)
	g.rows = newRowTiles(g.tile.group, g.o)
	g.panels = (g.rowTaps() + k.Cols - 1) / k.Cols
	g.splits = min(g.kh*g.panels*g.rows.count, (tasks+g.groups-1)/g.groups)
	g.p.scratch.reserveShared(g.groups * len(g.dw))
	g.p.scratch.reservePrivate(g.framesLength() + g.roundedLength() + g.transposedLength())
	compute, sum := g.compute, g.p.sumParts(g.dw, g.groups)
	return func() error {
		pool.run(g.groups*g.splits, compute)
		g.dbias.combine()
		return sum()
	}
}

// compute is a task: a range of tiles of one group's sum.
func (g *weightGradient) compute(worker, task int) {
	group := task / g.splits
	tileFrom, tileTo := chunk(g.kh*g.panels*g.rows.count, g.splits, task%g.splits)
	from, to := g.group(group)
	frames := g.p.scratch.private[worker]
	part := g.p.scratch.shared[group*len(g.dw) : (group+1)*len(g.dw)]
	t := &g.p.scratch.tiles[worker]
	t.RowC, t.Bias, t.Accumulate = g.taps(), nil, 0
	for n := from; n < to; n += g.perChunk {
		images := min(g.perChunk, to-n)
		rounded := frames[g.framesLength():]
		g.load(frames, n, images)
		clear(frames[images*g.frame.size():][:g.overread()])
		dy := g.walk(t, rounded, n, images)
		for i := tileFrom; i < tileTo; i++ {
			g.addTile(t, i, dy, frames, part)
		}
		if tileFrom == 0 { // in only one task of the group
			g.measureBias(n, images)
		}
		t.Accumulate = 1
	}
}

// walk sets a tile's walk over the pixels of the given number of images from n, and
// returns their DYᵀ (O, ·), whose rows are t.RowA apart.
func (g *weightGradient) walk(t *simd.Tile, rounded []float32, n, images int) (dy []float32) {
	c, line := g.frame.c, g.line()
	switch {
	case !g.paired: // transposed in place
		t.RowA = 1
		t.Walk(g.ow, g.o, g.stride*c, g.oh, g.ow*g.o, g.stride*g.frame.fw*c, images, g.pixels()*g.o, g.frame.size())
		return g.dy[n*g.pixels()*g.o:]
	case g.stride == 1:
		t.Walk(line, 1, c, 1, 0, 0, images, line, g.frame.size())
	default:
		t.Walk(g.ow, 1, g.stride*c, g.oh, g.ow, g.stride*g.frame.fw*c, images, line, g.frame.size())
	}
	t.RowA = oddLines(images * line)
	dy = rounded[g.roundedLength():]
	for i := range images {
		g.transposeGradient(dy[i*line:], rounded, n+i, t.RowA)
	}
	return dy
}

// stepPairs is the number of pairs along k that the fastest tiles multiply at once.
const stepPairs = 16

// line returns the number of pairs of DY that a filter meets in an image. At stride
// 1, zeros stand for the pixels of the frame between the rows of DY, so that
// the pixels are next to each other, and fill up the last step.
func (g *weightGradient) line() int {
	if !g.paired || g.stride != 1 {
		return g.pixels()
	}
	pixels := (g.oh-1)*g.frame.fw + g.ow
	return (pixels + stepPairs - 1) / stepPairs * stepPairs
}

// overread returns the number of elements after the last frame that a tile reads:
// numbers that are multiplied by a line's zeros must be finite.
func (g *weightGradient) overread() int { return stepPairs*g.frame.c + g.p.backend.simd.Cols }

// framesLength returns the length of the frames of a chunk.
func (g *weightGradient) framesLength() int { return g.perChunk*g.frame.size() + g.overread() }

// roundedLength returns the length of the scratch for one image of DY.
func (g *weightGradient) roundedLength() int {
	if !g.paired {
		return 0
	}
	return g.line() * g.o
}

// transposedLength returns the length of a chunk's DYᵀ if it is not read in place.
func (g *weightGradient) transposedLength() int {
	if !g.paired {
		return 0
	}
	return oddLines(g.perChunk*g.line()) * g.o
}

// transposeGradient rounds image n of DY to dst (O, line), whose rows are distance
// apart.
func (g *weightGradient) transposeGradient(dst, rounded []float32, n, distance int) {
	k, row, line := g.p.backend.simd, g.ow*g.o, g.line()
	next := row
	if g.stride == 1 {
		next = g.frame.fw * g.o
	}
	first, second := neighbours(g.dy, n, g.oh*row, g.batch)
	clear(rounded[:line*g.o])
	for h := range g.oh {
		g.p.pairRow(rounded[h*next:], first, second, h, row)
	}
	k.Transpose(dst, distance, rounded, g.o, line, g.o)
}

// addTile adds a chunk of images to tile i of a group's sum.
func (g *weightGradient) addTile(t *simd.Tile, i int, dy, frames, part []float32) {
	k := g.p.backend.simd
	row, panel, kh := i%g.rows.count, i/g.rows.count%g.panels, i/g.rows.count/g.panels
	o, rows := g.rows.bounds(row)
	rows0 := min(rows, g.tile.group)
	j := panel * k.Cols
	t.A0 = &dy[o*t.RowA]
	if rows > rows0 {
		t.A1 = &dy[(o+rows0)*t.RowA]
	}
	t.B = &frames[kh*g.frame.fw*g.frame.c+j]
	t.C = &part[o*g.taps()+kh*g.rowTaps()+j]
	g.tile.multiply(t, rows0, rows-rows0, min(k.Cols, g.rowTaps()-j))
}

// sumParts returns the function that adds up parts in the shared scratch, each
// of len(dst) elements, in order.
func (p *program) sumParts(dst []float32, parts int) func() error {
	return p.elementwise(len(dst), func(from, to int) {
		copy(dst[from:to], p.scratch.shared[from:to])
		for i := 1; i < parts; i++ {
			p.backend.simd.Add(dst[from:to], p.scratch.shared[i*len(dst)+from:i*len(dst)+to])
		}
	})
}

// biasGradient adds up DY image by image, while the images are in the cache.
// Methods of a nil biasGradient do nothing.
type biasGradient struct {
	m     columns // a chunk is an image
	k     *simd.Kernels
	dy    []float32
	dbias []float32 // (O)
	sums  []float32 // (N, width)
	total []float64 // (O)
}

func newBiasGradient(p *program, op kernels.ConvBackwardWeight) *biasGradient {
	b := &biasGradient{m: newColumns(p.backend.simd, op.DY), k: p.backend.simd,
		dy: p.floats(op.DY), dbias: p.floats(op.DBias)}
	b.m.chunks = op.DY.Shape[0]
	b.sums, b.total = make([]float32, b.m.chunks*b.m.width), make([]float64, b.m.c)
	return b
}

// measure adds up the images from first to end−1.
func (b *biasGradient) measure(first, end int) {
	if b == nil {
		return
	}
	for n := first; n < end; n++ {
		b.m.sum(b.k, b.sums[n*b.m.width:(n+1)*b.m.width], b.dy, n)
	}
}

// combine stores the sum over the batch.
func (b *biasGradient) combine() {
	if b == nil {
		return
	}
	addParts(b.total, b.sums, b.m.chunks, b.m.width)
	for c, v := range b.total {
		b.dbias[c] = float32(v)
	}
}
