package cpuref

import (
	"math"

	"github.com/fmnist-gpu/fmnist-gpu/cpuref/internal/simd"
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// batchNormReLUPool is shared by the fused ops. Without a pool, a task is a
// chunk of rows, as in batch-norm alone; with a pool, it is an image.
type batchNormReLUPool struct {
	columns      // of X
	k            *simd.Kernels
	images, h, w int // X (N, H, W, C)
	oh, ow, size int // Y (N, OH, OW, C)
	x, y, dx, dy []float32
	index        []uint32  // (N, OH, OW, C), or nil
	constants    []float32 // vectors of one value per channel, each of length width
	groups       int       // of images, each with its own sums; backward only
	sums         []float32 // (groups or chunks, 2, width): Σ G, Σ G·(X − Mean)
}

func newBatchNormReLUPool(p *program, x, y, index kernels.Tensor, size, vectors int) *batchNormReLUPool {
	g := &batchNormReLUPool{columns: newColumns(p.backend.simd, x), k: p.backend.simd,
		images: x.Shape[0], h: x.Shape[1], w: x.Shape[2], oh: y.Shape[1], ow: y.Shape[2], size: size,
		x: p.floats(x), y: p.floats(y), index: p.words(index)}
	g.constants = make([]float32, vectors*g.width)
	return g
}

// vector returns vector i of the constants.
func (g *batchNormReLUPool) vector(i int) []float32 {
	return g.constants[i*g.width : (i+1)*g.width]
}

// image returns image n of X or DX.
func (g *batchNormReLUPool) image(x []float32, n int) []float32 {
	size := g.h * g.w * g.c
	return x[n*size : (n+1)*size]
}

// rowPair returns the two rows of an image that output row oh of 2×2 windows
// covers.
func (g *batchNormReLUPool) rowPair(image []float32, oh int) (x0, x1 []float32) {
	row := g.w * g.c
	return image[2*oh*row : (2*oh+1)*row], image[(2*oh+1)*row : (2*oh+2)*row]
}

// outputRow returns the bounds of output row oh of image n.
func (g *batchNormReLUPool) outputRow(n, oh int) (from, to int) {
	from = (n*g.oh + oh) * g.ow * g.c
	return from, from + g.ow*g.c
}

// element returns the position in an image of element k of the window for
// output element i of row oh.
func (g *batchNormReLUPool) element(oh, i, k int) int {
	h, w := oh*g.size+k/g.size, i/g.c*g.size+k%g.size
	return (h*g.w+w)*g.c + i%g.c
}

func (p *program) batchNormReLUPoolForward(op kernels.BatchNormReLUPoolForward) func() error {
	g := newBatchNormReLUPool(p, op.X, op.Y, op.Index, op.Size, 3)
	gamma, beta, invStd := p.floats(op.Gamma), p.floats(op.Beta), p.floats(op.InvStd)
	mean, variance := p.floats(op.Mean), p.floats(op.Var)
	runningMean, runningVar := p.floats(op.RunningMean), p.floats(op.RunningVar)
	normalize := g.forward(p)
	return func() error {
		copy(g.vector(0), mean)
		copy(g.vector(2), beta)
		scale := g.vector(1)
		for c := range mean {
			invStd[c] = float32(1 / math.Sqrt(float64(variance[c])+float64(op.Eps)))
			scale[c] = gamma[c] * invStd[c]
			runningMean[c] = blend(runningMean[c], float64(mean[c]), op.Momentum)
			runningVar[c] = blend(runningVar[c], unbiased(float64(variance[c]), g.rows), op.Momentum)
		}
		g.repeatAll(g.constants)
		return normalize()
	}
}

func (p *program) batchNormReLUPoolInference(op kernels.BatchNormReLUPoolInference) func() error {
	g := newBatchNormReLUPool(p, op.X, op.Y, kernels.Tensor{}, op.Size, 3)
	update := g.fromRunning(p, op)
	normalize := g.forward(p)
	return func() error {
		update()
		return normalize()
	}
}

// fromRunning returns the function that computes the constants mean, scale and
// shift from op's running statistics.
func (g *batchNormReLUPool) fromRunning(p *program, op kernels.BatchNormReLUPoolInference) func() {
	gamma, beta := p.floats(op.Gamma), p.floats(op.Beta)
	mean, variance := p.floats(op.RunningMean), p.floats(op.RunningVar)
	return func() {
		copy(g.vector(0), mean)
		copy(g.vector(2), beta)
		scale := g.vector(1)
		for c := range mean {
			scale[c] = float32(float64(gamma[c]) / math.Sqrt(float64(variance[c])+float64(op.Eps)))
		}
		g.repeatAll(g.constants)
	}
}

// forward returns the function that computes Y from the constants mean, scale
// and shift, repeated.
func (g *batchNormReLUPool) forward(p *program) func() error {
	tasks, task := g.images, func(_, n int) { g.forwardRows(g.image(g.x, n), n, 0, g.oh) }
	if g.size == 1 {
		mean, scale, shift := g.vector(0), g.vector(1), g.vector(2)
		tasks, task = g.chunks, func(_, i int) {
			g.each(i, func(from, rows, width int) {
				g.k.NormalizeReLU(g.y[from:], g.x[from:], mean[:width], scale[:width], shift[:width], width, rows)
			})
		}
	}
	return func() error {
		p.pool.run(tasks, task)
		return nil
	}
}

// forwardRows computes output rows [first, end) of image n; x starts with the
// first window's rows.
func (g *batchNormReLUPool) forwardRows(x []float32, n, first, end int) {
	mean, scale, shift := g.vector(0)[:g.c], g.vector(1)[:g.c], g.vector(2)[:g.c]
	for oh := range end - first {
		from, to := g.outputRow(n, first+oh)
		var index []uint32
		if g.index != nil {
			index = g.index[from:to]
		}
		if g.size == 2 {
			x0, x1 := g.rowPair(x, oh)
			g.k.NormalizeReLUPool2x2(g.y[from:to], index, x0, x1, mean, scale, shift, g.c)
			continue
		}
		g.forwardRow(g.y[from:to], index, x, oh)
	}
}

// forwardRow computes one output row for windows of any size.
func (g *batchNormReLUPool) forwardRow(y []float32, index []uint32, x []float32, oh int) {
	mean, scale, shift := g.vector(0), g.vector(1), g.vector(2)
	for i := range y {
		c := i % g.c
		normal := func(k int) float32 { return (x[g.element(oh, i, k)]-mean[c])*scale[c] + shift[c] }
		best, largest := 0, normal(0)
		for k := 1; k < g.size*g.size; k++ {
			if v := normal(k); v > largest {
				best, largest = k, v
			}
		}
		y[i] = max(largest, 0)
		if index != nil {
			index[i] = uint32(best)
		}
	}
}

// batchNormReLUPoolBackward computes the two sums of each channel in one pass
// and applies them in a second, with the constants of batchNormBackward.
func (p *program) batchNormReLUPoolBackward(op kernels.BatchNormReLUPoolBackward) func() error {
	g := newBatchNormReLUPool(p, op.X, op.Y, op.Index, op.Size, 4)
	g.dx, g.dy = p.floats(op.DX), p.floats(op.DY)
	g.groups = min(g.images, maxChunks)
	tasks, measure := g.groups, func(_, i int) { g.measureImages(i) }
	applications, apply := g.images, func(_, n int) { g.backwardImage(n) }
	if g.size == 1 {
		tasks, measure = g.chunks, func(_, i int) { g.measureChunk(i) }
		applications, apply = g.chunks, func(_, i int) { g.backwardChunk(i) }
	}
	b := newBatchNormGradient(p, op.Gamma, op.Mean, op.InvStd, op.DGamma, op.DBeta, g.rows)
	g.sums = make([]float32, tasks*2*g.width)
	check := p.checkIndex(g.index, op.Size)
	return func() error {
		if err := check(); err != nil {
			return err
		}
		copy(g.vector(0), b.mean)
		g.repeat(g.vector(0))
		p.pool.run(tasks, measure)
		b.combine(g.sums, tasks, g.width)
		b.constants(g.vector(1), g.vector(2), g.vector(3))
		g.repeatAll(g.constants)
		p.pool.run(applications, apply)
		return nil
	}
}

// sumsOf returns the cleared sums of task i.
func (g *batchNormReLUPool) sumsOf(i int) (sum, dot []float32) {
	s := g.sums[i*2*g.width : (i+1)*2*g.width]
	clear(s)
	return s[:g.width], s[g.width:]
}

func (g *batchNormReLUPool) measureChunk(i int) {
	sum, dot := g.sumsOf(i)
	g.each(i, func(from, rows, width int) {
		g.k.ReLUDots(sum[:width], dot[:width], g.dy[from:], g.y[from:], g.x[from:], g.vector(0)[:width], width, rows)
	})
	g.foldSums(sum)
	g.foldSums(dot)
}

func (g *batchNormReLUPool) backwardChunk(i int) {
	g.each(i, func(from, rows, width int) {
		g.k.NormalizeReLUBackward(g.dx[from:], g.dy[from:], g.y[from:], g.x[from:],
			g.vector(0)[:width], g.vector(1)[:width], g.vector(2)[:width], g.vector(3)[:width], width, rows)
	})
}

// measureImages computes the sums over the windows of group i's images.
func (g *batchNormReLUPool) measureImages(i int) {
	sum, dot := g.sumsOf(i)
	mean := g.vector(0)[:g.c]
	first, end := chunk(g.images, g.groups, i)
	for n := first; n < end; n++ {
		x := g.image(g.x, n)
		for oh := range g.oh {
			from, to := g.outputRow(n, oh)
			dy, y, index := g.dy[from:to], g.y[from:to], g.index[from:to]
			if g.size == 2 {
				x0, x1 := g.rowPair(x, oh)
				g.k.ReLUPool2x2Dots(sum[:g.c], dot[:g.c], dy, y, index, x0, x1, mean, g.c)
				continue
			}
			for i, v := range y {
				if v > 0 {
					c := i % g.c
					sum[c] += dy[i]
					dot[c] += dy[i] * (x[g.element(oh, i, int(index[i]))] - mean[c])
				}
			}
		}
	}
}

func (g *batchNormReLUPool) backwardImage(n int) {
	x, dx := g.image(g.x, n), g.image(g.dx, n)
	mean, scale, slope, shift := g.vector(0)[:g.c], g.vector(1)[:g.c], g.vector(2)[:g.c], g.vector(3)[:g.c]
	if g.size > 2 {
		g.k.Normalize(dx, x, mean, slope, shift, g.c, g.h*g.w)
	}
	for oh := range g.oh {
		from, to := g.outputRow(n, oh)
		dy, y, index := g.dy[from:to], g.y[from:to], g.index[from:to]
		if g.size == 2 {
			x0, x1 := g.rowPair(x, oh)
			dx0, dx1 := g.rowPair(dx, oh)
			g.k.ReLUPool2x2Backward(dx0, dx1, dy, y, index, x0, x1, mean, scale, slope, shift, g.c)
			continue
		}
		for i, v := range y {
			if v > 0 {
				dx[g.element(oh, i, int(index[i]))] += scale[i%g.c] * dy[i]
			}
		}
	}
	if g.size == 2 {
		g.backwardRest(dx, x, mean, slope, shift)
	}
}

// backwardRest computes the last column and row of an image if no 2×2 window
// covers them: they receive no gradient from above.
func (g *batchNormReLUPool) backwardRest(dx, x, mean, slope, shift []float32) {
	row := g.w * g.c
	if g.w%2 == 1 {
		last := row - g.c
		g.k.Normalize(dx[last:], x[last:], mean, slope, shift, row, 2*g.oh)
	}
	if g.h%2 == 1 {
		last := (g.h - 1) * row
		g.k.Normalize(dx[last:], x[last:], mean, slope, shift, g.c, g.w)
	}
}
