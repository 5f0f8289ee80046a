package cpuref

import (
	"github.com/fmnist-gpu/fmnist-gpu/cpuref/internal/simd"
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// span is one row tile of a correlation: two groups of output pixels, each of
// consecutive pixels in one row of the image.
type span struct {
	a0, a1       int // position of each group's first pixel in the frame
	pixel        int // first output pixel, counted from its strip's
	rows0, rows1 int
}

// newSpans splits rows of output pixels into tiles. In the frame, neighbours in a row
// are pixel elements apart, and rows are line elements apart.
func newSpans(m multiplier, rows, ow, line, pixel int) []span {
	type group struct{ a, pixel, rows int }
	var groups []group
	perRow := (ow + m.group - 1) / m.group
	for h := range rows {
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

// strip is a part of an image of the result that is computed at once, with the
// same taps.
type strip struct {
	spans       []span
	kh, kw      int
	firstTap    int // among the packed taps
	top, bottom int // the frame's rows [top, bottom) that it reads
	row, rows   int // whole rows of output pixels, if there is an epilogue or a gap, or by Conv3x3
	gap         int // pixels between the rows of the result that the tiles compute as well
}

// stripElements is the number of elements of a strip of whole rows, about a
// quarter of a core's second-level cache.
const stripElements = 1 << 15

// setRows sets the rows of the frame, which are line elements long, that a strip reads.
// A tile's pixels are pixel elements apart.
func (s *strip) setRows(line, pixel int) {
	if len(s.spans) == 0 || s.kh*s.kw == 0 {
		return
	}
	last := s.spans[len(s.spans)-1]
	end := max(last.a0+(last.rows0-1)*pixel, last.a1+(last.rows1-1)*pixel)
	s.top, s.bottom = s.spans[0].a0/line, end/line+s.kh
}

// correlation slides filters over framed images. It computes the forward
// convolution, and the gradient of its input with rotated filters.
type correlation struct {
	p        *program
	tile     multiplier
	channels int            // of an image
	frame    frame          // of the image; its channels are pairs in mixed precision
	paired   bool           // mixed precision, of several channels
	zeros    []float32      // see round; nil unless mixed precision, of one channel
	by3x3    []simd.Conv3x3 // see operands3x3
	stride   int
	out      int // channels of the result
	apart    int // distance between a tile's pixels in the result
	pixels   int // of one image of the result
	width    int // pixels in its rows
	images   int
	src, dst []float32
	bias     []float32          // (out), or nil
	strips   []strip            // of an image
	splits   int                // tasks per image
	stats    *imageStatistics   // of the result, or nil
	epilogue *epilogue          // of the result, which is then not stored, or nil
	joined   func(from, to int) // see takeJoined
	taps     int                // of a filter
	panels   int                // of filters
	weights  *weights           // the filters: [panel][tap][C][tile's columns]
	resultAt int                // position in the private scratch, with an epilogue or a gap
}

// newCorrelation returns a correlation over images in the given precision.
func (p *program) newCorrelation(precision kernels.Precision, images kernels.Tensor, f frame) *correlation {
	x := &correlation{p: p, tile: p.backend.multiplierOf(precision), channels: f.c, frame: f, stride: 1, apart: 1,
		images: images.Shape[0], src: p.floats(images)}
	switch {
	case precision == kernels.Mixed && f.c == 1: // half of each pair would be 0
		x.tile = p.backend.multiplierOf(kernels.FP32)
		x.zeros = make([]float32, max(f.w, p.backend.simd.Cols))
	case precision == kernels.Mixed:
		x.paired = true
		x.frame.c = pairs(f.c)
	}
	x.resultAt = x.frame.size()
	return x
}

// round rounds the factors of one channel to bfloat16; they stay float32.
func (x *correlation) round(dst, src []float32) {
	x.p.backend.simd.PairRows(dst, x.zeros[:len(src)], src)
}

// image returns image n in its frame, with the rows that the strips read: as it is, if
// it fills the frame.
func (x *correlation) image(worker, n int, strips []strip) []float32 {
	private := x.p.scratch.private[worker]
	row := x.frame.w * x.channels
	size := x.frame.h * row
	image := x.src[n*size : (n+1)*size]
	if !x.paired && x.zeros == nil && size == x.frame.size() {
		return image
	}
	from, to := x.frame.fh, 0
	for _, s := range strips {
		if s.top < s.bottom {
			from, to = min(from, s.top), max(to, s.bottom)
		}
	}
	switch {
	case x.paired:
		x.frame.fillRows(private, from, to, func(line []float32, h int) {
			x.p.pairChannels(line, image[h*row:(h+1)*row], x.channels)
		})
	case x.zeros != nil:
		x.frame.fillRows(private, from, to, func(line []float32, h int) { x.round(line, image[h*row:(h+1)*row]) })
	default:
		x.frame.fillRows(private, from, to, func(line []float32, h int) { copy(line, image[h*row:(h+1)*row]) })
	}
	return private
}

// cut cuts an image of oh·ow output pixels into strips and tasks.
func (x *correlation) cut(kh, kw, oh, ow int) {
	x.pixels, x.width, x.taps = oh*ow, ow, kh*kw
	if x.epilogue != nil || x.by3x3 != nil {
		x.cutRows(kh, kw, oh, ow)
		return
	}
	s := x.newStrip(0, oh, ow)
	s.kh, s.kw = kh, kw
	all := s.spans
	x.splits = min(len(all), x.wantedSplits())
	for i := range x.splits {
		from, to := chunk(len(all), x.splits, i)
		s.spans = all[from:to]
		x.addStrip(s)
	}
}

// cutRows cuts an image into strips of whole rows of pixels, or of the epilogue's windows.
func (x *correlation) cutRows(kh, kw, oh, ow int) {
	size := 1
	if x.epilogue != nil {
		size = x.epilogue.size
	}
	windows := oh / size // rows of windows
	perStrip := max(1, stripElements/(size*ow*x.out))
	count := min(windows, max(x.wantedSplits(), (windows+perStrip-1)/perStrip))
	x.splits = min(count, x.wantedSplits())
	for i := range count {
		from, to := chunk(windows, count, i)
		s := x.newStrip(from*size, to*size, ow)
		s.kh, s.kw = kh, kw
		x.addStrip(s)
	}
}

// newStrip returns a strip of rows [first, end) of ow output pixels.
func (x *correlation) newStrip(first, end, ow int) strip {
	pixel := x.stride * x.frame.c
	line := x.frame.fw * pixel
	s := strip{row: first, rows: end - first}
	s.spans, s.gap = x.newSpans(s.rows, ow, line, pixel)
	for i := range s.spans {
		s.spans[i].a0 += first * line
		s.spans[i].a1 += first * line
	}
	return s
}

// newSpans returns the tiles of rows of output pixels, and the gap between the rows:
// where it saves a quarter of the groups, a group goes on from one row to the next,
// across the frame's border.
func (x *correlation) newSpans(rows, ow, line, pixel int) (spans []span, gap int) {
	spans, gap = newSpans(x.tile, rows, ow, line, pixel), x.frame.fw-ow
	whole := x.epilogue != nil || x.wantedSplits() == 1 // rows, in one task
	if !x.tile.whole || x.stride*x.apart > 1 || gap > 0 && !whole {
		return spans, 0
	}
	across := newSpans(x.tile, 1, rows*x.frame.fw-gap, line, pixel)
	if groups(across)*4 > groups(spans)*3 {
		return spans, 0
	}
	return across, gap
}

// groups returns the number of groups of tiles.
func groups(spans []span) (n int) {
	for _, s := range spans {
		n += 1 + min(s.rows1, 1)
	}
	return n
}

func (x *correlation) addStrip(s strip) {
	s.setRows(x.frame.fw*x.frame.c, x.stride*x.frame.c)
	if x.epilogue != nil && !x.pools() || s.gap > 0 {
		x.p.scratch.reservePrivate(x.resultAt + s.rows*(x.width+s.gap)*x.out)
	}
	x.strips = append(x.strips, s)
}

// wantedSplits returns the number of tasks per image that occupies the workers.
func (x *correlation) wantedSplits() int {
	if x.p.pool.workers == 1 {
		return 1
	}
	return (tasksPerWorker*x.p.pool.workers + x.images - 1) / x.images
}

// compile returns the function that runs the correlation with weights w, once strips
// and tasks are known. pack packs the filters of a panel at one tap; it may use
// private as scratch for one such pack. form names the resulting order.
func (x *correlation) compile(w kernels.Tensor, form string, pack func(packed, private []float32, panel, tap int)) func() error {
	pool, k := x.p.pool, x.p.backend.simd
	x.panels = (x.out + k.Cols - 1) / k.Cols
	if x.paired {
		form += " pairs"
	} else if x.zeros != nil {
		form += " rounded"
	}
	x.weights = x.p.newWeights(w, form, 0, (x.panels*x.taps*x.frame.c+1)*k.Cols)
	x.p.scratch.reservePrivate(max(x.frame.size(), k.Cols*x.frame.c))
	packTask := func(worker, task int) {
		panel, tap := task%x.panels, task/x.panels
		packed := x.filters(panel, tap)
		pack(packed, x.p.scratch.private[worker], panel, tap)
		if cols := min(k.Cols, x.out-panel*k.Cols); x.zeros != nil {
			x.round(packed[:cols], packed[:cols])
		}
	}
	compute := x.compute
	x.joined = x.p.takeJoined()
	finish := func(_, n int) { x.joined(n*x.pixels*x.out, (n+1)*x.pixels*x.out) }
	constants := func() {}
	if x.by3x3 != nil && x.pools() {
		x.epilogue.packed = make([]float32, x.panels*packedConstants)
		constants = func() { x.epilogue.packConstants(x.bias) }
	}
	return func() error {
		constants()
		x.weights.prepare(x.panels*x.taps, packTask)
		pool.run(x.images*x.splits, compute)
		if x.joined != nil && x.splits > 1 {
			pool.run(x.images, finish)
		}
		if x.stats != nil {
			if x.splits > 1 {
				pool.run(x.images, x.stats.task)
			}
			x.stats.combine()
		}
		return nil
	}
}

// filters returns the packed filters of a panel from a tap on.
func (x *correlation) filters(panel, tap int) []float32 {
	return x.weights.data()[(panel*x.taps+tap)*x.frame.c*x.p.backend.simd.Cols:]
}

// compute is a task: a range of one image's strips.
func (x *correlation) compute(worker, task int) {
	n := task / x.splits
	from, to := chunk(len(x.strips), x.splits, task%x.splits)
	strips := x.strips[from:to]
	image := x.image(worker, n, strips)
	for i := range strips {
		s := &strips[i]
		switch {
		case x.pools():
			x.pool(worker, image, n, s)
		case x.epilogue != nil || s.gap > 0:
			x.computeInScratch(worker, image, n, s)
		default:
			x.multiply(worker, image, s, x.dst[(n*x.pixels+s.row*x.width)*x.out:(n+1)*x.pixels*x.out])
		}
	}
	if x.stats != nil && x.splits == 1 { // the image is whole, and still in the cache
		x.stats.measure(n)
	}
	if x.joined != nil && x.splits == 1 {
		x.joined(n*x.pixels*x.out, (n+1)*x.pixels*x.out)
	}
}

// computeInScratch computes a strip of image n, which is in its frame, that has an
// epilogue or gaps.
func (x *correlation) computeInScratch(worker int, image []float32, n int, s *strip) {
	scratch := x.p.scratch.private[worker][x.resultAt:]
	x.multiply(worker, image, s, scratch)
	if x.epilogue == nil {
		x.closeGaps(x.dst[n*x.pixels*x.out:], scratch, s)
		return
	}
	x.closeGaps(scratch, scratch, s)
	x.epilogue.apply(scratch, n, s.row, s.rows)
}

// pools reports whether the tiles, or Conv3x3Pool, normalise and pool in registers, so
// that the convolution's own result is never stored.
func (x *correlation) pools() bool {
	byTiles := x.p.backend.simd.PoolRow != nil && !x.paired && x.out%winogradVector == 0
	return x.epilogue != nil && x.epilogue.size == 2 && (byTiles || x.by3x3 != nil)
}

// pool computes the pooled output of a strip of image n, which is in its frame.
func (x *correlation) pool(worker int, image []float32, n int, s *strip) {
	if x.by3x3 != nil {
		x.pool3x3(worker, image, n, s)
		return
	}
	k, e, line := x.p.backend.simd, x.epilogue, x.stride*x.frame.fw*x.frame.c
	t := x.start(worker, s)
	t.RowC = x.out
	for panel := range x.panels {
		j := panel * k.Cols
		x.startPanel(t, s, panel)
		t.Mean, t.Scale, t.Shift = &e.vector(0)[j], &e.vector(1)[j], &e.vector(2)[j]
		for row := s.row; row < s.row+s.rows; row += 2 {
			y, _ := e.outputRow(n, row/2)
			t.A0, t.A1, t.C = &image[row*line], &image[(row+1)*line], &e.y[y+j]
			k.PoolRow(t, e.ow, min(k.Cols, x.out-j))
		}
	}
	e.join(n, s.row, s.rows)
}

// closeGaps copies the rows of a strip's result without the gaps between them.
func (x *correlation) closeGaps(dst, src []float32, s *strip) {
	if s.gap == 0 {
		return
	}
	row := x.width * x.out
	for i := range s.rows {
		copy(dst[i*row:(i+1)*row], src[i*(row+s.gap*x.out):])
	}
}

// multiply computes a strip of the result of an image in its frame.
func (x *correlation) multiply(worker int, image []float32, s *strip, result []float32) {
	if s.kh*s.kw == 0 {
		x.clear(s, result)
		return
	}
	if x.by3x3 != nil {
		x.rows3x3(worker, image, s, result)
		return
	}
	k := x.p.backend.simd
	t := x.start(worker, s)
	t.RowC = x.apart * x.out
	for panel := range x.panels {
		j := panel * k.Cols
		x.startPanel(t, s, panel)
		for _, s := range s.spans {
			t.A0, t.A1, t.C = &image[s.a0], &image[s.a1], &result[s.pixel*x.out+j]
			x.tile.multiply(t, s.rows0, s.rows1, min(k.Cols, x.out-j))
		}
	}
}

// start returns a worker's tile, ready for a strip.
func (x *correlation) start(worker int, s *strip) *simd.Tile {
	t, c, cols := &x.p.scratch.tiles[worker], x.frame.c, x.p.backend.simd.Cols
	t.RowA, t.Bias, t.Accumulate = x.stride*c, nil, 0
	t.Walk(s.kw*c, 1, cols, s.kh, x.frame.fw*c, s.kw*c*cols, 1, 0, 0)
	return t
}

// startPanel readies a tile for a panel of filters.
func (x *correlation) startPanel(t *simd.Tile, s *strip, panel int) {
	t.B = &x.filters(panel, s.firstTap)[0]
	if x.bias != nil {
		t.Bias = &x.bias[panel*x.p.backend.simd.Cols]
	}
}

// clear sets a strip, which no tap meets, to zeros.
func (x *correlation) clear(s *strip, result []float32) {
	for _, s := range s.spans {
		for i := range s.rows0 + s.rows1 {
			clear(result[(s.pixel+i*x.apart)*x.out:][:x.out])
		}
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
