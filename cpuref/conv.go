package cpuref

import (
	"github.com/fmnist-gpu/fmnist-gpu/cpuref/internal/simd"
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// frame is a copy of an image inside a border of zeros, so that convolution taps
// need no bounds checks and the taps of a filter's row are contiguous. Image
// pixel (h, w) goes to frame pixel (top + h·dilation, left + w·dilation); pixels
// outside the frame are dropped.
type frame struct {
	h, w, c   int // image
	fh, fw    int // frame, of the same c channels
	top, left int
	dilation  int
}

func (f *frame) imageSize() int { return f.h * f.w * f.c }
func (f *frame) size() int      { return f.fh * f.fw * f.c }

// fill copies an image into its frame.
func (f *frame) fill(dst, image []float32) {
	if f.dilation > 1 || f.top < 0 || f.left < 0 || f.top+f.h > f.fh || f.left+f.w > f.fw {
		f.scatter(dst, image)
		return
	}
	row, stride := f.w*f.c, f.fw*f.c
	clear(dst[:f.top*stride])
	for h := range f.h {
		line := dst[(f.top+h)*stride : (f.top+h+1)*stride]
		clear(line[:f.left*f.c])
		copy(line[f.left*f.c:], image[h*row:(h+1)*row])
		clear(line[f.left*f.c+row:])
	}
	clear(dst[(f.top+f.h)*stride : f.size()])
}

// scatter is fill for pixels that are dilated or fall outside.
func (f *frame) scatter(dst, image []float32) {
	clear(dst[:f.size()])
	for h := range f.h {
		for w := range f.w {
			fh, fw := f.top+h*f.dilation, f.left+w*f.dilation
			if fh >= 0 && fh < f.fh && fw >= 0 && fw < f.fw {
				copy(dst[(fh*f.fw+fw)*f.c:][:f.c], image[(h*f.w+w)*f.c:])
			}
		}
	}
}

// span is one row tile of a correlation: two groups of output pixels, each of
// consecutive pixels in one row of the image.
type span struct {
	a0, a1       int // position of each group's first pixel in the frame
	pixel        int // first output pixel
	rows0, rows1 int
}

// newSpans splits oh·ow output pixels into tiles. In the frame, neighbours in a
// row are pixel elements apart, and rows are line elements apart.
func newSpans(k *simd.Kernels, oh, ow, line, pixel int) []span {
	type group struct{ a, pixel, rows int }
	var groups []group
	perRow := (ow + k.Group - 1) / k.Group
	for h := range oh {
		for i := range perRow {
			from, to := min(i*k.Group, ow), min((i+1)*k.Group, ow)
			if k.UnevenGroups {
				from, to = chunk(ow, perRow, i)
			}
			groups = append(groups, group{h*line + from*pixel, h*ow + from, to - from})
		}
	}
	var spans []span
	for i := 0; i < len(groups); i++ {
		g := groups[i]
		s := span{a0: g.a, pixel: g.pixel, rows0: g.rows}
		if i+1 < len(groups) && (k.UnevenGroups || g.rows == k.Group) {
			i++
			s.a1, s.rows1 = groups[i].a, groups[i].rows
		}
		spans = append(spans, s)
	}
	return spans
}

// correlation slides filters over framed images. It computes the forward
// convolution, and the gradient of its input with rotated filters.
type correlation struct {
	p        *program
	tile     tileFunc
	channels int   // of an image
	frame    frame // of the image; its channels are pairs in mixed precision
	paired   bool  // mixed precision
	kh, kw   int
	stride   int
	out      int // channels of the result
	pixels   int // of one image of the result
	images   int
	src, dst []float32
	bias     []float32 // (out), or nil
	spans    []span
	splits   int              // tasks per image
	stats    *imageStatistics // of the result, or nil
	panels   int              // of filters, packed in the shared scratch: [panel][KH·KW·C][tile's columns]
}

func (x *correlation) taps() int { return x.kh * x.kw * x.frame.c }

// newCorrelation returns a correlation over images in the given precision.
func (p *program) newCorrelation(precision kernels.Precision, images kernels.Tensor, f frame) *correlation {
	x := &correlation{p: p, tile: p.tileOf(precision), channels: f.c, frame: f,
		images: images.Shape[0], src: p.floats(images)}
	if precision == kernels.Mixed {
		x.paired = true
		x.frame.c = pairs(f.c)
	}
	return x
}

// image copies image n into its frame.
func (x *correlation) image(worker, n int) []float32 {
	private := x.p.scratch.private[worker]
	size := x.frame.h * x.frame.w * x.channels
	image := x.src[n*size : (n+1)*size]
	if x.paired {
		rounded := private[x.frame.size():][:x.frame.imageSize()]
		x.p.pairChannels(rounded, image, x.channels)
		image = rounded
	}
	x.frame.fill(private, image)
	return private
}

// compile plans the tiles and tasks and returns the function that runs the
// correlation. pack packs the filters of a panel at one tap (kh, kw); it may use
// private as scratch for one such pack.
func (x *correlation) compile(oh, ow int, pack func(packed, private []float32, panel, tap int)) func() error {
	pool, k := x.p.backend.pool, x.p.backend.simd
	x.pixels = oh * ow
	x.spans = newSpans(k, oh, ow, x.stride*x.frame.fw*x.frame.c, x.stride*x.frame.c)
	x.panels = (x.out + k.Cols - 1) / k.Cols
	x.splits = min(len(x.spans), (tasksPerWorker*pool.workers+x.images-1)/x.images)
	x.p.scratch.reserveShared((x.panels*x.taps() + 1) * k.Cols)
	x.p.scratch.reservePrivate(max(x.frame.size()+x.frame.imageSize(), k.Cols*x.frame.c))
	packTask := func(worker, task int) {
		panel, tap := task%x.panels, task/x.panels
		pack(x.p.scratch.shared[(panel*x.taps()+tap*x.frame.c)*k.Cols:], x.p.scratch.private[worker], panel, tap)
	}
	compute := x.compute
	return func() error {
		pool.run(x.panels*x.kh*x.kw, packTask)
		pool.run(x.images*x.splits, compute)
		if x.stats != nil {
			if x.splits > 1 {
				pool.run(x.images, x.stats.task)
			}
			x.stats.combine()
		}
		return nil
	}
}

// compute is a task: a range of one image's tiles.
func (x *correlation) compute(worker, task int) {
	k := x.p.backend.simd
	n := task / x.splits
	from, to := chunk(len(x.spans), x.splits, task%x.splits)
	image := x.image(worker, n)
	out := x.dst[n*x.pixels*x.out : (n+1)*x.pixels*x.out]

	t := &x.p.scratch.tiles[worker]
	c := x.frame.c
	t.RowA, t.RowC, t.Bias, t.Accumulate = x.stride*c, x.out, nil, 0
	t.Walk(x.kw*c, 1, k.Cols, x.kh, x.frame.fw*c, x.kw*c*k.Cols, 1, 0, 0)
	for panel := range x.panels {
		j := panel * k.Cols
		t.B = &x.p.scratch.shared[panel*x.taps()*k.Cols]
		if x.bias != nil {
			t.Bias = &x.bias[j]
		}
		for _, s := range x.spans[from:to] {
			t.A0, t.A1, t.C = &image[s.a0], &image[s.a1], &out[s.pixel*x.out+j]
			x.tile(t, s.rows0, s.rows1, min(k.Cols, x.out-j))
		}
	}
	if x.stats != nil && x.splits == 1 { // the image is whole, and still in the cache
		x.stats.measure(n)
	}
}

// imageStatistics computes the mean and the variance of each channel of a
// convolution's result, image by image.
type imageStatistics struct {
	m              columns // a chunk is an image
	k              *simd.Kernels
	y              []float32
	mean, variance []float32 // (O)
	sums           []float32 // see columns.measure
	task           func(worker, n int)
	total, totalSq []float64 // (O)
}

func newImageStatistics(p *program, op kernels.ConvForward) *imageStatistics {
	s := &imageStatistics{m: newColumns(p.backend.simd, op.Y), k: p.backend.simd,
		y: p.floats(op.Y), mean: p.floats(op.Mean), variance: p.floats(op.Var)}
	s.m.chunks = op.Y.Shape[0]
	s.sums = make([]float32, s.m.chunks*s.m.statisticsLength())
	s.total, s.totalSq = make([]float64, s.m.c), make([]float64, s.m.c)
	s.task = func(_, n int) { s.measure(n) }
	return s
}

func (s *imageStatistics) measure(n int) { s.m.measure(s.k, s.sums, s.y, n) }

// combine stores the statistics of the batch.
func (s *imageStatistics) combine() {
	s.m.statistics(s.total, s.totalSq, s.sums)
	for c := range s.mean {
		s.mean[c], s.variance[c] = float32(s.total[c]), float32(s.totalSq[c])
	}
}

func (p *program) convForward(op kernels.ConvForward) func() error {
	o, kh, kw, i := op.W.Shape[0], op.W.Shape[1], op.W.Shape[2], op.W.Shape[3]
	w := p.floats(op.W)
	k := p.backend.simd
	x := p.newCorrelation(op.Precision, op.X, forwardFrame(op.X, op.Pad))
	x.kh, x.kw, x.stride, x.out = kh, kw, op.Stride, o
	x.dst, x.bias = p.floats(op.Y), p.floats(op.Bias)
	if !op.Mean.Absent() {
		x.stats = newImageStatistics(p, op)
	}
	return x.compile(op.Y.Shape[1], op.Y.Shape[2], func(packed, private []float32, panel, tap int) {
		j := panel * k.Cols
		cols, filters, distance := min(k.Cols, o-j), w[(j*kh*kw+tap)*i:], kh*kw*i
		if x.paired {
			for col := range cols {
				p.pairChannels(private[col*x.frame.c:], filters[col*distance:][:i], i)
			}
			filters, distance = private, x.frame.c
		}
		k.Transpose(packed, k.Cols, filters, distance, cols, x.frame.c)
	})
}

// forwardFrame returns the frame of a convolution's input.
func forwardFrame(x kernels.Tensor, pad int) frame {
	h, w, c := x.Shape[1], x.Shape[2], x.Shape[3]
	return frame{h: h, w: w, c: c, fh: h + 2*pad, fw: w + 2*pad, top: pad, left: pad, dilation: 1}
}

// convBackwardInput correlates DY, dilated by the stride, with the filters
// rotated by 180° and their channels exchanged.
func (p *program) convBackwardInput(op kernels.ConvBackwardInput) func() error {
	o, kh, kw, i := op.W.Shape[0], op.W.Shape[1], op.W.Shape[2], op.W.Shape[3]
	h, w := op.DX.Shape[1], op.DX.Shape[2]
	f := frame{h: op.DY.Shape[1], w: op.DY.Shape[2], c: o, fh: h + kh - 1, fw: w + kw - 1,
		top: kh - 1 - op.Pad, left: kw - 1 - op.Pad, dilation: op.Stride}
	weight := p.floats(op.W)
	k := p.backend.simd
	x := p.newCorrelation(op.Precision, op.DY, f)
	x.kh, x.kw, x.stride, x.out, x.dst = kh, kw, 1, i, p.floats(op.DX)
	return x.compile(h, w, func(packed, _ []float32, panel, tap int) {
		j := panel * k.Cols
		cols := min(k.Cols, i-j)
		rotated := kh*kw - 1 - tap
		filter := func(row int) []float32 { return weight[(row*kh*kw+rotated)*i+j:][:cols] }
		for row := range x.frame.c {
			to := packed[row*k.Cols:]
			switch {
			case !x.paired:
				copy(to, filter(row))
			case 2*row+1 < o:
				k.PairRows(to, filter(2*row), filter(2*row+1))
			default:
				k.PairRows(to, filter(2*row), nil)
			}
		}
	})
}

// The gradient of the weights is computed for groups of images; each group has
// its own sum, and the sums are added in order.
const (
	imagesPerGroup     = 16
	imagesPerGroupTaps = 4 // in compileByTaps, whose sums are small
	// chunkElements is the number of elements of X and DY processed at once,
	// about half of a core's second-level cache.
	chunkElements = 1 << 16
)

// weightGradient is a compiled [kernels.ConvBackwardWeight]:
// for each kh, DW (O, KW·I) += DYᵀ · X, where row (oh, ow) of X is the KW·I
// consecutive elements of the frame under the filter's row kh.
type weightGradient struct {
	p         *program
	tile      tileFunc
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
	panels    int // of KW·I
	splits    int // tasks per group
}

func (p *program) convBackwardWeight(op kernels.ConvBackwardWeight) func() error {
	o, kh, kw := op.DW.Shape[0], op.DW.Shape[1], op.DW.Shape[2]
	g := &weightGradient{p: p, tile: p.tileOf(op.Precision), frame: forwardFrame(op.X, op.Pad), kh: kh, kw: kw, stride: op.Stride,
		oh: op.DY.Shape[1], ow: op.DY.Shape[2], o: o, batch: op.X.Shape[0], images: op.X.Shape[0],
		x: p.floats(op.X), dy: p.floats(op.DY), dw: p.floats(op.DW)}
	if op.Precision == kernels.Mixed {
		g.paired = true
		g.images = pairs(g.batch)
	}
	if !op.DBias.Absent() {
		g.dbias = newBiasGradient(p, op)
	}
	if g.rowTaps()*2 <= p.backend.simd.Cols {
		return g.compileByTaps()
	}
	return g.compile()
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

// load copies the given number of images from n into frames and returns DY of
// those images. frames and rounded are private scratch; rounded must hold one
// image, and DY for each of the images.
func (g *weightGradient) load(frames, rounded []float32, n, images int) (dy []float32) {
	image, result := g.frame.imageSize(), g.pixels()*g.o
	for i := range images {
		to := frames[i*g.frame.size():]
		if !g.paired {
			g.frame.fill(to, g.x[(n+i)*image:(n+i+1)*image])
			continue
		}
		g.p.pairNeighbours(rounded, g.x, n+i, image, g.batch)
		g.frame.fill(to, rounded[:image])
		g.p.pairNeighbours(rounded[image+i*result:], g.dy, n+i, result, g.batch)
	}
	if g.paired {
		return rounded[image:]
	}
	return g.dy[n*result:]
}

// loadLength returns the length of load's scratch rounded, including a tile's
// columns of overread.
func (g *weightGradient) loadLength(images int) int {
	if !g.paired {
		return 0
	}
	return g.frame.imageSize() + images*g.pixels()*g.o + g.p.backend.simd.Cols
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
	pool, k := g.p.backend.pool, g.p.backend.simd
	g.cutGroups(imagesPerGroup)
	g.perChunk = min(max(1, chunkElements/(g.frame.size()+g.pixels()*g.o)), g.perGroup)
	g.rows = newRowTiles(k, g.o)
	g.panels = (g.rowTaps() + k.Cols - 1) / k.Cols
	g.splits = min(g.kh*g.panels*g.rows.count, (tasksPerWorker*pool.workers+g.groups-1)/g.groups)
	g.p.scratch.reserveShared(g.groups * len(g.dw))
	g.p.scratch.reservePrivate(g.perChunk*g.frame.size() + k.Cols + g.loadLength(g.perChunk))
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
	t.RowA, t.RowC, t.Bias, t.Accumulate = 1, g.taps(), nil, 0
	for n := from; n < to; n += g.perChunk {
		images := min(g.perChunk, to-n)
		dy := g.load(frames, frames[g.perChunk*g.frame.size()+g.p.backend.simd.Cols:], n, images)
		t.Walk(g.ow, g.o, g.stride*g.frame.c, g.oh, g.ow*g.o, g.stride*g.frame.fw*g.frame.c,
			images, g.pixels()*g.o, g.frame.size())
		for i := tileFrom; i < tileTo; i++ {
			g.addTile(t, i, dy, frames, part)
		}
		if tileFrom == 0 { // in only one task of the group
			g.measureBias(n, images)
		}
		t.Accumulate = 1
	}
}

// addTile adds a chunk of images to tile i of a group's sum.
func (g *weightGradient) addTile(t *simd.Tile, i int, dy, frames, part []float32) {
	k := g.p.backend.simd
	row, panel, kh := i%g.rows.count, i/g.rows.count%g.panels, i/g.rows.count/g.panels
	o, rows := g.rows.bounds(row)
	rows0 := min(rows, k.Group)
	j := panel * k.Cols
	t.A0 = &dy[o]
	if rows > rows0 {
		t.A1 = &dy[o+rows0]
	}
	t.B = &frames[kh*g.frame.fw*g.frame.c+j]
	t.C = &part[o*g.taps()+kh*g.rowTaps()+j]
	g.tile(t, rows0, rows-rows0, min(k.Cols, g.rowTaps()-j))
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

// compileByTaps is compile for filters whose rows have too few taps to fill a
// tile's columns, as in a first layer: DWᵀ (KH·KW·I, O) += Xᵀ · DY, with one copy
// of the image per tap.
func (g *weightGradient) compileByTaps() func() error {
	pool, k := g.p.backend.pool, g.p.backend.simd
	g.cutGroups(imagesPerGroupTaps)
	g.rows = newRowTiles(k, g.taps())
	g.panels = (g.o + k.Cols - 1) / k.Cols
	g.p.scratch.reserveShared(g.groups * len(g.dw))
	g.p.scratch.reservePrivate(g.frame.size() + g.taps()*g.pixels() + g.loadLength(1))
	compute := g.computeByTaps
	return func() error {
		pool.run(g.groups, compute)
		parts := g.p.scratch.shared
		sum := parts[:len(g.dw)]
		for i := 1; i < g.groups; i++ {
			k.Add(sum, parts[i*len(g.dw):(i+1)*len(g.dw)])
		}
		k.Transpose(g.dw, g.taps(), sum, g.o, g.taps(), g.o)
		g.dbias.combine()
		return nil
	}
}

// computeByTaps is a task: one group's sum.
func (g *weightGradient) computeByTaps(worker, group int) {
	k := g.p.backend.simd
	from, to := g.group(group)
	scratch := g.p.scratch.private[worker]
	framed, byTap, rounded := scratch[:g.frame.size()], scratch[g.frame.size():], scratch[g.frame.size()+g.taps()*g.pixels():]
	part := g.p.scratch.shared[group*len(g.dw) : (group+1)*len(g.dw)]
	t := &g.p.scratch.tiles[worker]
	t.RowA, t.RowC, t.Bias, t.Accumulate = g.pixels(), g.o, nil, 0
	t.Walk(g.pixels(), 1, g.o, 1, 0, 0, 1, 0, 0)
	for n := from; n < to; n++ {
		dy := g.load(framed, rounded, n, 1)
		g.copyByTap(byTap, framed)
		g.measureBias(n, 1)
		for i := range g.panels * g.rows.count {
			tap, rows := g.rows.bounds(i % g.rows.count)
			rows0 := min(rows, k.Group)
			j := i / g.rows.count * k.Cols
			t.A0 = &byTap[tap*g.pixels()]
			if rows > rows0 {
				t.A1 = &byTap[(tap+rows0)*g.pixels()]
			}
			t.B = &dy[j]
			t.C = &part[tap*g.o+j]
			g.tile(t, rows0, rows-rows0, min(k.Cols, g.o-j))
		}
		t.Accumulate = 1
	}
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

// copyByTap copies, for each tap, the elements of the frame that it multiplies:
// dst (KH·KW·I, OH·OW).
func (g *weightGradient) copyByTap(dst, framed []float32) {
	c := g.frame.c
	for tap := range g.taps() {
		start := tap/g.rowTaps()*g.frame.fw*c + tap%g.rowTaps()
		for h := range g.oh {
			src := framed[start+h*g.stride*g.frame.fw*c:]
			row := dst[tap*g.pixels()+h*g.ow:][:g.ow]
			if g.stride*c == 1 {
				copy(row, src)
				continue
			}
			for w := range row {
				row[w] = src[w*g.stride*c]
			}
		}
	}
}
