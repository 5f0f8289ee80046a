package cpuref

import (
	"github.com/fmnist-gpu/fmnist-gpu/cpuref/internal/simd"
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// span is one row tile of a correlation: two groups of output pixels, each of
// consecutive pixels in one row of the image.
type span struct {
	a0, a1       int // position of each group's first pixel in the frame
	pixel        int // first output pixel
	rows0, rows1 int
}

// newSpans splits oh·ow output pixels into tiles. In the frame, neighbours in a
// row are pixel elements apart, and rows are line elements apart.
func newSpans(m multiplier, oh, ow, line, pixel int) []span {
	type group struct{ a, pixel, rows int }
	var groups []group
	perRow := (ow + m.group - 1) / m.group
	for h := range oh {
		for i := range perRow {
			from, to := min(i*m.group, ow), min((i+1)*m.group, ow)
			if m.uneven {
				from, to = chunk(ow, perRow, i)
			}
			groups = append(groups, group{h*line + from*pixel, h*ow + from, to - from})
		}
	}
	var spans []span
	for i := 0; i < len(groups); i++ {
		g := groups[i]
		s := span{a0: g.a, pixel: g.pixel, rows0: g.rows}
		if i+1 < len(groups) && (m.uneven || g.rows == m.group) {
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
	tile     multiplier
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
	x := &correlation{p: p, tile: p.backend.multiplierOf(precision), channels: f.c, frame: f,
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
	switch row := x.frame.w * x.channels; {
	case !x.paired:
		x.frame.fill(private, image)
	case x.frame.whole():
		x.frame.fillRows(private, func(line []float32, h int) {
			x.p.pairChannels(line, image[h*row:(h+1)*row], x.channels)
		})
	default:
		rounded := private[x.frame.size():][:x.frame.imageSize()]
		x.p.pairChannels(rounded, image, x.channels)
		x.frame.fill(private, rounded)
	}
	return private
}

// compile plans the tiles and tasks and returns the function that runs the
// correlation. pack packs the filters of a panel at one tap (kh, kw); it may use
// private as scratch for one such pack.
func (x *correlation) compile(oh, ow int, pack func(packed, private []float32, panel, tap int)) func() error {
	pool, k := x.p.backend.pool, x.p.backend.simd
	x.pixels = oh * ow
	x.spans = newSpans(x.tile, oh, ow, x.stride*x.frame.fw*x.frame.c, x.stride*x.frame.c)
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
			x.tile.multiply(t, s.rows0, s.rows1, min(k.Cols, x.out-j))
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
