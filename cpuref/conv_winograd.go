package cpuref

import (
	"fmt"

	"github.com/klauspost/cpuid/v2"

	"github.com/fmnist-gpu/fmnist-gpu/cpuref/internal/simd"
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// winogradElements is the number of elements of all points that are processed at
// once: a quarter of a core's second-level cache, within bounds, which also hold where the
// cache's size is unknown. The results do not depend on it. With 2 MB of cache,
// mostElements take 0.96 times as long as leastElements for fashioncnn's layers, and 1<<17
// 0.99.
var winogradElements = min(max(leastElements, cpuid.CPU.Cache.L2/16), mostElements)

const leastElements, mostElements = 1 << 16, 13 << 13

// winograd correlates images with filters, at stride 1 and inside a border of zeros
// that keeps the images' extents, by Winograd's algorithm. It computes the forward
// convolution, and the gradient of its input with rotated filters.
type winograd struct {
	p        *program
	f        *simd.Winograd
	tiling   tiling
	c, out   int // channels of an image and of its result
	src, dst []float32
	bias     []float32          // (out)
	stats    *imageStatistics   // of the result, or nil
	epilogue *epilogue          // of the result, which is then not stored, or nil
	joined   func(from, to int) // see takeJoined
	panels   int                // of filters
	filters  *weights           // [panel][point][C][tile's columns]
	splits   int                // tasks per panel that transform filters

	// The private scratch holds, in order, the points of the input, those of one
	// panel of the products, and an image's frame.
	inputs, products int // distance between points
	framesAt         int
}

// WinogradOutputs returns the extent of the tiles by which the backend computes op
// if that is by Winograd's algorithm, or else 0.
func (b *backend) WinogradOutputs(op kernels.Op) int {
	if f := b.winogradOf(op); f != nil {
		return f.Outputs
	}
	return 0
}

// winogradOf returns the algorithm by which the backend computes op, or nil if it is
// the direct one.
func (b *backend) winogradOf(op kernels.Op) *simd.Winograd {
	switch op := op.(type) {
	case kernels.ConvForward:
		return b.winogradThatPays(op.X, op.W, 2*winogradVector, minTiles, op.Stride, op.Pad, op.Precision)
	case kernels.ConvBatchNormInference: // parts of images are whole rows of windows
		if op.Pool <= 2 {
			return b.winogradThatPays(op.X, op.W, 2*winogradVector, minTilesInference, op.Stride, op.Pad, op.Precision)
		}
	case kernels.ConvBackwardInput:
		return b.winogradThatPays(op.DX, op.W, 2*winogradVector, minTiles, op.Stride, op.Pad, op.Precision)
	case kernels.ConvBackwardWeight:
		return b.winogradThatPays(op.X, op.DW, winogradVector, minTiles, op.Stride, op.Pad, op.Precision)
	}
	return nil
}

// winogradVector is the number of channels of which the vector tiers transform a
// multiple.
const winogradVector = 16

// The least numbers of tiles for which winogradThatPays, of 2×2 outputs and of 4×4. A
// trained network transforms its filters once, so there fewer are enough: for 1×7×7,
// 64→128, F(2×2, 3×3) takes 0.78 times the time of the direct algorithm with AVX2, and
// as long with AVX-512.
const (
	minTiles          = 48
	minTilesInference = 12
	minLargeTiles     = 128
)

// winogradThatPays returns the algorithm that is faster than the direct one for a
// convolution of x with w, or nil. It is one if there are enough channels that the
// products outweigh the transforms of the images, and enough tiles that they outweigh
// those of the filters. minChannels and minTiles are those of F(2×2, 3×3). The time
// of the direct algorithm divided by that of Winograd's (forward, gradient of the
// input, of the weights), on an Intel Xeon of the Sapphire Rapids generation, one
// thread, each the shortest of 40 runs in turn with the others' while other programs
// ran (BenchmarkWinograd):
//
//	N×H×W, I→O                      avx2                avx512
//	64×14×14, 32→64    F(2×2, 3×3)  1.36  1.49  1.78    1.41  1.48  1.51
//	                   F(4×4, 3×3)  1.88  1.93  2.09    1.79  1.82  1.67
//	64×7×7, 64→128     F(2×2, 3×3)  1.57  1.71  1.67    1.36  1.40  1.44
//	                   F(4×4, 3×3)  2.39  2.63  2.26    2.01  2.02  1.89
//	64×8×8, 64→64      F(2×2, 3×3)  1.72  1.72  1.89    1.59  1.61  1.67
//	                   F(4×4, 3×3)  2.58  2.59  2.60    2.37  2.43  2.13
//	64×14×14, 32→16    F(2×2, 3×3)  1.23  1.10  1.46    1.04  1.11  1.12
//	                   F(4×4, 3×3)  1.52  1.49  1.72    1.20  1.35  1.32
//	64×28×28, 16→16    F(2×2, 3×3)                      1.05  0.81  1.09
//	                   F(4×4, 3×3)                      1.42  1.25  1.70
//	64×14×14, 32→64    F(2×2, 5×5)  2.18  1.85  2.11    1.64  1.71  1.84
//	1×14×14, 32→64     F(2×2, 5×5)  1.27  1.30  1.97    1.40  1.50  1.85
//	64×7×7, 64→64      F(2×2, 5×5)  1.72  1.77  2.60    1.62  1.60  2.14
//
// F(4×4, 5×5) takes 0.61, 0.61 and 0.68 of the time that F(2×2, 5×5) took with AVX2,
// and 0.66, 0.67 and 0.75 with AVX-512, for 64×14×14, 16→32, when the transforms of
// the latter shared no sums (the shortest of 36 training steps each). Its error is
// three times as large.
//
// With few tiles, F(2×2, 3×3) is as fast as F(4×4, 3×3) or faster:
//
//	64×4×4, 256→256    F(2×2, 3×3)  1.91  1.89  2.72    2.57  1.90  3.22
//	                   F(4×4, 3×3)  2.24  2.12  1.56    2.19  1.55  1.42
//	1×14×14, 32→64     F(2×2, 3×3)  1.24  1.19  1.67    1.21  1.26  1.53
//	                   F(4×4, 3×3)  1.06  1.06  1.75    0.94  1.04  1.54
//	4×7×7, 64→128      F(2×2, 3×3)  1.24  1.33  1.67    1.24  1.28  1.38
//	                   F(4×4, 3×3)  1.20  1.25  2.12    1.05  1.12  1.79
//
// It stays direct here:
//
//	64×1×1, 64→64      F(2×2, 3×3)  1.58  1.71  0.94    1.52  1.83  0.66
//	1×7×7, 64→128      F(2×2, 3×3)  0.73  0.82  1.28    0.77  0.85  1.19
//
// The vector tiers transform whole vectors of channels. In the slower tiers products
// weigh more, so the rule holds for them, too: with F(2×2, 3×3) SSE gains 1.7 to 2.1.
//
// Nobody has measured the speed on arm64. The rule holds for NEON too because its
// tile and its transforms take as many instructions per vector as AVX2's, whose
// rows and columns its tile has, and the caches, which bound the transforms,
// deliver half as much per instruction: the transforms should weigh no more.
func (b *backend) winogradThatPays(x, w kernels.Tensor, minChannels, minTiles2, stride, pad int, precision kernels.Precision) *simd.Winograd {
	k, taps := b.simd, w.Shape[1]
	o, i := w.Shape[0], w.Shape[3]
	if precision != kernels.FP32 || stride != 1 || w.Shape[2] != taps || pad != taps/2 ||
		o%winogradVector != 0 || i%winogradVector != 0 {
		return nil
	}
	n, height, width := x.Shape[0], x.Shape[1], x.Shape[2]
	tiles := func(outputs int) int {
		return n * ((height + outputs - 1) / outputs) * ((width + outputs - 1) / outputs)
	}
	switch smaller := min(height, width); {
	case taps == 3 && smaller > 3 && tiles(4) >= minLargeTiles:
		return &k.Winograd4x3
	case taps == 3 && smaller > 1 && tiles(2) >= minTiles2 && min(o, i) >= minChannels:
		return &k.Winograd2x3
	case taps == 5 && smaller > 3 && tiles(4) >= minLargeTiles:
		return &k.Winograd4x5
	case taps == 5 && smaller > 1 && tiles(2) >= minTiles:
		return &k.Winograd2x5
	}
	return nil
}

// winogradForward computes the convolution, followed by the epilogue if e is not
// nil.
func (p *program) winogradForward(f *simd.Winograd, op kernels.ConvForward, e *epilogue) func() error {
	o, i := op.W.Shape[0], op.W.Shape[3]
	w, k := p.floats(op.W), p.backend.simd
	taps := f.Taps * f.Taps
	x := p.newWinograd(f, op.X, op.Y, e)
	if !op.Bias.Absent() {
		x.bias = p.floats(op.Bias)
	}
	if !op.Mean.Absent() {
		x.stats = newImageStatistics(p, op)
	}
	return x.compile(op.W, "winograd filters", func(packed []float32, panel, tap, from, to int) {
		j := panel * k.Cols
		k.Transpose(packed, k.Cols, w[(j*taps+tap)*i+from:], taps*i, min(k.Cols, o-j), to-from)
	})
}

// winogradBackwardInput correlates DY with the filters rotated by 180° and their
// channels exchanged.
func (p *program) winogradBackwardInput(f *simd.Winograd, op kernels.ConvBackwardInput) func() error {
	i := op.W.Shape[3]
	w, k := p.floats(op.W), p.backend.simd
	taps := f.Taps * f.Taps
	return p.newWinograd(f, op.DY, op.DX, nil).compile(op.W, "rotated winograd filters", func(packed []float32, panel, tap, from, to int) {
		j := panel * k.Cols
		for o := from; o < to; o++ {
			copy(packed[(o-from)*k.Cols:], w[((o+1)*taps-1-tap)*i+j:][:min(k.Cols, i-j)])
		}
	})
}

// newWinograd returns a correlation over images, without a bias.
func (p *program) newWinograd(f *simd.Winograd, images, result kernels.Tensor, e *epilogue) *winograd {
	k, wanted := p.backend.simd, tasksPerWorker*p.pool.workers
	c, out := images.Dim(-1), result.Dim(-1)
	x := &winograd{p: p, f: f, tiling: newTiling(f, images, c+k.Cols, winogradElements, wanted), c: c, out: out, epilogue: e,
		src: p.floats(images), dst: p.floats(result), bias: make([]float32, out)}
	x.panels = (out + k.Cols - 1) / k.Cols
	if e != nil {
		e.packed = make([]float32, x.panels*packedConstants)
	}
	x.splits = min(c, (wanted+x.panels-1)/x.panels)
	tiles := x.tiling.maxTiles()
	x.inputs, x.products = oddLines(tiles*c), oddLines(tiles*k.Cols)
	x.framesAt = f.Points() * (x.inputs + x.products)
	p.scratch.reservePrivate(max(x.framesAt+x.tiling.frameSize(c), f.Taps*f.Taps*(c/x.splits+1)*k.Cols))
	return x
}

// oddLines rounds n elements up to an odd number of cache lines, so that arrays
// at that distance start in different sets of the cache.
func oddLines(n int) int {
	const line = cacheLine / 4
	return ((n+line-1)/line | 1) * line
}

// compile returns the function that runs the correlation with weights w. pack packs
// the filters of a panel at one tap, for a range of channels: [channel][tile's
// columns]. form names the resulting order.
func (x *winograd) compile(w kernels.Tensor, form string, pack func(packed []float32, panel, tap, from, to int)) func() error {
	pool := x.p.pool
	x.filters = x.p.newWeights(w, fmt.Sprintf("%s F(%d, %d)", form, x.f.Outputs, x.f.Taps), 0, (x.panels*x.f.Points()*x.c+1)*x.p.backend.simd.Cols)
	filters := func(worker, task int) { x.transformFilters(worker, task, pack) }
	compute := x.compute
	x.joined = x.p.takeJoined()
	size := x.tiling.h * x.tiling.w * x.out
	finish := func(_, n int) { x.joined(n*size, (n+1)*size) }
	return func() error {
		if x.epilogue != nil {
			x.epilogue.packConstants(x.bias)
		}
		x.filters.prepare(x.panels*x.splits, filters)
		pool.run(x.tiling.blocks(), compute)
		if x.joined != nil && x.tiling.parts > 1 {
			pool.run(x.tiling.images, finish)
		}
		if x.stats != nil {
			if x.tiling.parts > 1 {
				pool.run(x.tiling.images, x.stats.task)
			}
			x.stats.combine()
		}
		return nil
	}
}

// transformFilters is a task: the points of one panel of filters, for a range of
// channels.
func (x *winograd) transformFilters(worker, task int, pack func(packed []float32, panel, tap, from, to int)) {
	k := x.p.backend.simd
	panel := task / x.splits
	from, to := chunk(x.c, x.splits, task%x.splits)
	n := (to - from) * k.Cols
	taps := x.f.Taps * x.f.Taps
	packed := x.p.scratch.private[worker][:taps*n]
	for tap := range taps {
		pack(packed[tap*n:(tap+1)*n], panel, tap, from, to)
	}
	x.f.Filter(x.filters.data()[(panel*x.f.Points()*x.c+from)*k.Cols:], packed, n, x.c*k.Cols, n)
}

// compute is a task: one block of tiles.
func (x *winograd) compute(worker, task int) {
	b := x.tiling.block(task)
	scratch := x.p.scratch.private[worker]
	for n := range b.images {
		b.transformInput(scratch, scratch[x.framesAt:], x.src, n, x.c, x.inputs)
	}
	for panel := range x.panels {
		x.multiply(worker, &b, panel, x.ahead(task, panel))
		for n := range b.images {
			x.transformOutput(worker, &b, n, panel)
		}
	}
	if x.epilogue != nil {
		for n := range b.images {
			x.epilogue.join(b.first+n, x.f.Outputs*b.top, b.pixelRows())
		}
	}
	if x.stats != nil && x.tiling.parts == 1 { // the images are whole, and still in the cache
		for n := range b.images {
			x.stats.measure(b.first + n)
		}
	}
	if x.joined != nil && x.tiling.parts == 1 {
		size := b.h * b.w * x.out
		x.joined(b.first*size, (b.first+b.images)*size)
	}
}

// multiply computes one panel of the products, and fetches what is needed after them.
func (x *winograd) multiply(worker int, b *tileBlock, panel int, ahead []float32) {
	k := x.p.backend.simd
	points := x.p.scratch.private[worker]
	products, filters := points[x.f.Points()*x.inputs:], x.filters.data()
	t := &x.p.scratch.tiles[worker]
	t.RowA, t.RowC, t.Bias, t.Accumulate = x.c, k.Cols, nil, 0
	t.Walk(x.c, 1, k.Cols, 1, 0, 0, 1, 0, 0)
	cols := min(k.Cols, x.out-panel*k.Cols)
	tiles, n := b.pointTiles(k), x.f.Extent()
	aheadOfPoint := len(ahead) / (n * n)
	if len(ahead) > 0 { // a point that few tiles need fetches only a part
		t.StepAhead = aheadOfPoint / (simd.RowTiles(k.Group, b.tiles()) * x.c)
	}
	for i := range n {
		row := &tiles[i/(n-1)]
		for j := range n {
			of := &row[j/(n-1)]
			if of.from == of.end {
				continue
			}
			point := i*n + j
			t.A0 = &points[point*x.inputs+of.from*x.c]
			t.B = &filters[(panel*n*n+point)*x.c*k.Cols]
			t.C = &products[point*x.products+of.from*k.Cols]
			if len(ahead) > 0 {
				t.Ahead = &ahead[aheadOfPoint*point]
			}
			k.Rows(t, of.rows, cols)
		}
	}
	t.Ahead, t.StepAhead = nil, 0
}

// ahead returns what the products of a panel of a block fetch: with the first panel the
// block's output, which is written next; with the last one the images of the block that
// this worker computes next if the workers take turns.
func (x *winograd) ahead(task, panel int) []float32 {
	b, e := x.tiling.block(task), x.epilogue
	switch {
	case panel == 0 && e == nil:
		return b.rowsOf(x.dst, x.out)
	case panel == 0:
		top := x.f.Outputs * b.top
		from, _ := e.outputRow(b.first, top/e.size)
		to, _ := e.outputRow(b.first+b.images-1, (top+b.pixelRows())/e.size)
		return e.y[from:to]
	case panel == x.panels-1 && task+x.p.pool.workers < x.tiling.blocks():
		b = x.tiling.block(task + x.p.pool.workers)
		return b.rowsOf(x.src, x.c)
	}
	return nil
}

// transformOutput computes the result of image n of a block, in one panel.
func (x *winograd) transformOutput(worker int, b *tileBlock, n, panel int) {
	k, m := x.p.backend.simd, x.f.Outputs
	j := panel * k.Cols
	cols := min(k.Cols, x.out-j)
	products := x.p.scratch.private[worker][x.f.Points()*x.inputs:]
	to := x.output(b, n, panel)
	width := m / to.size // of a tile's result
	for r := range b.tileRows() {
		rows := min(m, b.pixelRows()-m*r) / to.size
		if rows == 0 {
			break
		}
		tile, last := b.position(n, r)
		y := to.y[width*r*to.row+j:]
		if b.cols > 0 {
			to.transform(y, products[tile*k.Cols:], to.constants, b.cols, cols, x.out, to.row, k.Cols, x.products, rows, width)
		}
		if rest := b.restCol / to.size; rest > 0 {
			to.transform(y[width*b.cols*x.out:], products[last*k.Cols:], to.constants, 1, cols, x.out, to.row, k.Cols, x.products, rows, rest)
		}
	}
}

// winogradOutput is how and where a panel of an image's result is stored.
type winogradOutput struct {
	transform func(y, m, constants []float32, tiles, c, ldy, row, ldm, dm, rows, cols int)
	constants []float32
	y         []float32 // from the block's first row on
	row       int       // distance between rows of y
	size      int       // of the pool, or 1
}

// output returns the output of image n of a block.
func (x *winograd) output(b *tileBlock, n, panel int) winogradOutput {
	n, first := b.first+n, x.f.Outputs*b.top
	e := x.epilogue
	if e == nil {
		row := b.w * x.out
		return winogradOutput{x.f.Output, x.bias[panel*x.p.backend.simd.Cols:], x.dst[(n*b.h+first)*row:], row, 1}
	}
	from, to := e.outputRow(n, first/e.size)
	w := winogradOutput{x.f.Normalize, e.packed[panel*packedConstants:], e.y[from:], to - from, e.size}
	if e.size == 2 {
		w.transform = x.f.Pool
	}
	return w
}
