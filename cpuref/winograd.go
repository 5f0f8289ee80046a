package cpuref

import (
	"github.com/fmnist-gpu/fmnist-gpu/cpuref/internal/simd"
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// winogradPoints is the number of products of a channel and a tile of
// Winograd's convolution F(2×2, 3×3), which computes four outputs of nine taps
// each (see simd/winograd.go).
const winogradPoints = 16

// winogradBlock is the number of elements of a block of tiles, its points before
// and after the products, that a task processes at once: about half of a core's
// second-level cache.
const winogradBlock = 1 << 17

// winograd correlates images with 3×3 filters, at stride 1 and inside a border of
// one zero, by Winograd's algorithm F(2×2, 3×3). It computes the forward
// convolution, and the gradient of its input with rotated filters.
type winograd struct {
	p            *program
	images, h, w int
	c, out       int // channels of an image and of its result
	src, dst     []float32
	bias         []float32        // (out)
	stats        *imageStatistics // of the result, or nil

	th, tw    int // tiles of an image
	perBlock  int // images of a block
	parts     int // blocks of an image that is too large for one, in rows of tiles
	blocks    int
	maxTiles  int // of a block
	inputs    int // elements of a block's points of the input, at each point
	outputs   int // and of the products, of one panel
	panels    int // of filters, in the shared scratch: [panel][point][C][tile's columns]
	framesAt  int // private scratch: points of the input, products, then
	edgeAt    int // an image's frame, and two rows of output pixels
	packParts int // tasks per panel that transform filters
}

// newWinograd returns a correlation over images, with a result of out channels.
func (p *program) newWinograd(images kernels.Tensor, out int) *winograd {
	return &winograd{p: p, images: images.Shape[0], h: images.Shape[1], w: images.Shape[2],
		c: images.Shape[3], out: out, src: p.floats(images)}
}

// paysWinograd reports whether Winograd's algorithm is faster than the direct
// one.
func (p *program) paysWinograd(precision kernels.Precision, w kernels.Tensor, stride, pad int) bool {
	k := p.backend.simd
	return precision == kernels.FP32 && k.WinogradInput != nil && stride == 1 && pad == 1 &&
		w.Shape[1] == 3 && w.Shape[2] == 3 && w.Shape[0] >= 16 && w.Shape[3] >= 16
}

func (p *program) winogradForward(op kernels.ConvForward) func() error {
	o, i := op.W.Shape[0], op.W.Shape[3]
	w, k := p.floats(op.W), p.backend.simd
	x := p.newWinograd(op.X, o)
	x.dst, x.bias = p.floats(op.Y), p.floats(op.Bias)
	if !op.Mean.Absent() {
		x.stats = newImageStatistics(p, op)
	}
	return x.compile(func(packed []float32, panel, tap, from, to int) {
		j := panel * k.Cols
		k.Transpose(packed, k.Cols, w[(j*9+tap)*i+from:], 9*i, min(k.Cols, o-j), to-from)
	})
}

// winogradBackwardInput correlates DY with the filters rotated by 180° and their
// channels exchanged.
func (p *program) winogradBackwardInput(op kernels.ConvBackwardInput) func() error {
	i := op.W.Shape[3]
	w, k := p.floats(op.W), p.backend.simd
	x := p.newWinograd(op.DY, i)
	x.dst = p.floats(op.DX)
	return x.compile(func(packed []float32, panel, tap, from, to int) {
		j := panel * k.Cols
		for o := from; o < to; o++ {
			copy(packed[(o-from)*k.Cols:], w[(o*9+8-tap)*i+j:][:min(k.Cols, i-j)])
		}
	})
}

// compile plans the blocks and returns the function that runs the correlation.
// pack packs the filters of a panel at one tap, of the given range of channels:
// [channel][tile's columns].
func (x *winograd) compile(pack func(packed []float32, panel, tap, from, to int)) func() error {
	pool, k := x.p.backend.pool, x.p.backend.simd
	x.layOut()
	if x.bias == nil {
		x.bias = make([]float32, x.panels*k.Cols)
	}
	filters := func(worker, task int) { x.transformFilters(worker, task, pack) }
	compute := x.compute
	return func() error {
		pool.run(x.panels*x.packParts, filters)
		pool.run(x.blocks, compute)
		if x.stats != nil {
			if x.parts > 1 {
				pool.run(x.images, x.stats.task)
			}
			x.stats.combine()
		}
		return nil
	}
}

// layOut splits the images into blocks and reserves scratch.
func (x *winograd) layOut() {
	pool, k := x.p.backend.pool, x.p.backend.simd
	x.th, x.tw = (x.h+1)/2, (x.w+1)/2
	x.panels = (x.out + k.Cols - 1) / k.Cols
	wanted := tasksPerWorker * pool.workers
	perTile := winogradPoints * (x.c + k.Cols)
	tiles := max(1, winogradBlock/perTile)
	x.perBlock = max(1, min(tiles/(x.th*x.tw), (x.images+wanted-1)/wanted))
	x.parts = 1
	if x.perBlock == 1 {
		x.parts = min(x.th, max((x.th*x.tw+tiles-1)/tiles, (wanted+x.images-1)/x.images))
	}
	x.blocks = (x.images + x.perBlock - 1) / x.perBlock * x.parts
	x.maxTiles = x.perBlock * ((x.th + x.parts - 1) / x.parts) * x.tw
	// An odd number of cache lines between points keeps them in different sets.
	x.inputs = oddLines(x.maxTiles * x.c)
	x.outputs = oddLines(x.maxTiles * k.Cols)
	x.framesAt = winogradPoints * (x.inputs + x.outputs)
	x.edgeAt = x.framesAt + (2*x.th+2)*(2*x.tw+2)*x.c
	x.packParts = min(x.c, (wanted+x.panels-1)/x.panels)
	x.p.scratch.reserveShared((x.panels*winogradPoints*x.c + 1) * k.Cols)
	x.p.scratch.reservePrivate(max(x.edgeAt+2*(2*x.tw+1)*x.out, 9*((x.c+x.packParts-1)/x.packParts)*k.Cols))
}

// oddLines rounds n elements up to an odd number of cache lines.
func oddLines(n int) int {
	const line = cacheLine / 4
	return ((n+line-1)/line | 1) * line
}

// transformFilters is a task: the points of a panel's filters, of a range of
// channels.
func (x *winograd) transformFilters(worker, task int, pack func(packed []float32, panel, tap, from, to int)) {
	k := x.p.backend.simd
	panel := task / x.packParts
	from, to := chunk(x.c, x.packParts, task%x.packParts)
	n := (to - from) * k.Cols
	packed := x.p.scratch.private[worker][:9*n]
	for tap := range 9 {
		pack(packed[tap*n:(tap+1)*n], panel, tap, from, to)
	}
	k.WinogradFilter(x.p.scratch.shared[(panel*winogradPoints*x.c+from)*k.Cols:], packed, n, x.c*k.Cols, n)
}

// compute is a task: one block of tiles.
func (x *winograd) compute(worker, task int) {
	first := task / x.parts * x.perBlock
	images := min(x.perBlock, x.images-first)
	top, bottom := chunk(x.th, x.parts, task%x.parts)
	scratch := x.p.scratch.private[worker]
	perImage := (bottom - top) * x.tw
	for n := range images {
		x.transformInput(scratch[n*perImage*x.c:], scratch[x.framesAt:x.edgeAt], first+n, top, bottom)
	}
	products := scratch[winogradPoints*x.inputs : x.framesAt]
	for panel := range x.panels {
		x.multiply(&x.p.scratch.tiles[worker], scratch, products, panel, images*perImage)
		for n := range images {
			x.transformOutput(products[n*perImage*x.p.backend.simd.Cols:], scratch[x.edgeAt:], panel, first+n, top, bottom)
		}
	}
	if x.stats != nil && x.parts == 1 { // the images are whole, and still in the cache
		for n := range images {
			x.stats.measure(first + n)
		}
	}
}

// transformInput computes the points of tile rows [top, bottom) of image n.
func (x *winograd) transformInput(points, framed []float32, n, top, bottom int) {
	from, to := max(0, 2*top-1), min(x.h, 2*bottom+1) // rows of the image under the tiles
	f := frame{h: to - from, w: x.w, c: x.c, fh: 2*(bottom-top) + 2, fw: 2*x.tw + 2, top: from - (2*top - 1), left: 1, dilation: 1}
	row := x.w * x.c
	f.fill(framed, x.src[n*x.h*row:][from*row:to*row])
	for r := range bottom - top {
		x.p.backend.simd.WinogradInput(points[r*x.tw*x.c:], framed[2*r*f.fw*f.c:], x.tw, x.c, f.fw*f.c, x.inputs)
	}
}

// multiply computes the products of one panel at every point.
func (x *winograd) multiply(t *simd.Tile, points, products []float32, panel, tiles int) {
	k := x.p.backend.simd
	t.RowA, t.RowC, t.Bias, t.Accumulate = x.c, k.Cols, nil, 0
	t.Walk(x.c, 1, k.Cols, 1, 0, 0, 1, 0, 0)
	cols := min(k.Cols, x.out-panel*k.Cols)
	rows := newRowTiles(k, tiles)
	for point := range winogradPoints {
		t.B = &x.p.scratch.shared[(panel*winogradPoints+point)*x.c*k.Cols]
		for i := range rows.count {
			first, n := rows.bounds(i)
			rows0 := min(n, k.Group)
			a := point*x.inputs + first*x.c
			t.A0 = &points[a]
			if n > rows0 {
				t.A1 = &points[a+rows0*x.c]
			}
			t.C = &products[point*x.outputs+first*k.Cols]
			k.Tile(t, rows0, n-rows0, cols)
		}
	}
}

// transformOutput computes the output pixels of tile rows [top, bottom) of image n
// in one panel. An odd last row or column of pixels has half a tile, whose other
// half goes to edge.
func (x *winograd) transformOutput(products, edge []float32, panel, n, top, bottom int) {
	k := x.p.backend.simd
	j := panel * k.Cols
	cols := min(k.Cols, x.out-j)
	bias := x.bias[j : j+cols]
	image := x.dst[n*x.h*x.w*x.out:][:x.h*x.w*x.out]
	for r := top; r < bottom; r++ {
		m := products[(r-top)*x.tw*k.Cols:]
		y0, y1 := image[2*r*x.w*x.out+j:], edge
		if 2*r+1 < x.h {
			y1 = image[(2*r+1)*x.w*x.out+j:]
		}
		k.WinogradOutput(y0, y1, m, bias, x.w/2, cols, x.out, k.Cols, x.outputs)
		if x.w%2 != 0 {
			last := (x.w - 1) * x.out
			k.WinogradOutput(edge, edge[2*cols:], m[x.w/2*k.Cols:], bias, 1, cols, cols, k.Cols, x.outputs)
			copy(y0[last:last+cols], edge)
			copy(y1[last:last+cols], edge[2*cols:])
		}
	}
}
