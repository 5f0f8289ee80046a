package cpuref

import "github.com/fmnist-gpu/fmnist-gpu/cpuref/internal/simd"

// In a first layer a tile's product has so few steps that starting and storing the tile
// takes longer. For 3×3 filters on images of one channel, Conv3x3 instead keeps the
// filters in registers for a row of an image, and Conv3x3Weight the sums of their
// gradient. The forward pass has the bits of tiles but for the sign of zeros.

// operands3x3 returns the operands of the kernels by worker, or nil if the tier has none
// for a convolution of images of c channels with o filters.
func (p *program) operands3x3(kh, kw, c, stride, o int, paired bool) []simd.Conv3x3 {
	if p.backend.simd.Conv3x3 == nil || kh != 3 || kw != 3 || c > 1 || paired || stride > 1 || o%winogradVector != 0 {
		return nil
	}
	return make([]simd.Conv3x3, p.pool.workers)
}

// choose3x3 has Conv3x3 compute the correlation if it can.
func (x *correlation) choose3x3(kh, kw, ow int) {
	if ow < simd.Conv3x3Run {
		return
	}
	x.by3x3 = x.p.operands3x3(kh, kw, x.frame.c, x.stride, x.out, x.paired)
	if x.by3x3 != nil && x.bias == nil {
		x.bias = make([]float32, x.out)
	}
}

// start3x3 returns a worker's operands, ready for a panel of a strip of an image.
func (x *correlation) start3x3(worker int, image []float32, s *strip, panel int) *simd.Conv3x3 {
	c := &x.by3x3[worker]
	c.X, c.W = &image[s.row*x.frame.fw], &x.filters(panel, 0)[0]
	c.Line, c.RowW, c.Pixel = x.frame.fw, x.p.backend.simd.Cols, x.out
	return c
}

// rows3x3 computes a strip of the result of an image in its frame.
func (x *correlation) rows3x3(worker int, image []float32, s *strip, result []float32) {
	k := x.p.backend.simd
	for panel := range x.panels {
		j := panel * k.Cols
		c := x.start3x3(worker, image, s, panel)
		c.Constants, c.Y, c.RowY, c.Rows = &x.bias[j], &result[j], x.width*x.out, s.rows
		k.Conv3x3(c, x.width, min(k.Cols, x.out-j))
	}
}

// pool3x3 computes the pooled output of a strip of image n, which is in its frame.
func (x *correlation) pool3x3(worker int, image []float32, n int, s *strip) {
	k, e := x.p.backend.simd, x.epilogue
	from, to := e.outputRow(n, s.row/2)
	for panel := range x.panels {
		j := panel * k.Cols
		c := x.start3x3(worker, image, s, panel)
		c.Constants, c.Y, c.RowY, c.Rows = &e.packed[panel*packedConstants], &e.y[from+j], to-from, s.rows/2
		k.Conv3x3Pool(c, e.ow, min(k.Cols, x.out-j))
	}
	e.join(n, s.row, s.rows)
}

// computeBy3x3 is computeByTaps by Conv3x3Weight.
func (g *weightGradient) computeBy3x3(worker, group int) {
	k := g.p.backend.simd
	from, to := g.group(group)
	scratch := g.p.scratch.private[worker]
	framed, sum := scratch[:g.frame.size()], scratch[g.frame.size():][:len(g.dw)]
	part := g.p.scratch.shared[group*len(g.dw) : (group+1)*len(g.dw)]
	clear(part)
	c := &g.by3x3[worker]
	c.X, c.W, c.Line, c.RowW, c.Pixel, c.RowY, c.Rows = &framed[0], &sum[0], g.frame.fw, g.o, g.o, g.ow*g.o, g.oh
	for n := from; n < to; n++ {
		g.load(framed, n, 1)
		clear(sum)
		c.Y = &g.dy[n*g.pixels()*g.o]
		k.Conv3x3Weight(c, g.ow, g.o)
		k.Add(part, sum)
		g.measureBias(n, 1)
	}
}
