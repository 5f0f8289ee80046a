//go:build (amd64 || arm64) && !noasm

package simd

// The functions here extend an assembly kernel, which processes only whole
// vectors or whole blocks of columns, to any number: portable code processes the
// remainder.

func pairwise(lanes int, vector func(y, x *float32, n int), rest func(y, x []float32)) func(y, x []float32) {
	return func(y, x []float32) {
		n := len(x) &^ (lanes - 1)
		if n > 0 {
			vector(&y[0], &x[0], n)
		}
		rest(y[n:], x[n:])
	}
}

// transposeWith transposes blocks of n×n with a kernel for strips of n rows, and
// leaves the edges to the portable code.
func transposeWith(n int, strip func(dst *float32, ldd int, src *float32, lds, blocks int)) func(dst []float32, ldd int, src []float32, lds, rows, cols int) {
	return func(dst []float32, ldd int, src []float32, lds, rows, cols int) {
		wholeRows, wholeCols := rows&^(n-1), cols&^(n-1)
		if wholeCols > 0 {
			for i := 0; i < wholeRows; i += n {
				strip(&dst[i], ldd, &src[i*lds], lds, wholeCols/n)
			}
		}
		if wholeCols < cols && wholeRows > 0 {
			transposeGeneric(dst[wholeCols*ldd:], ldd, src[wholeCols:], lds, wholeRows, cols-wholeCols)
		}
		if wholeRows < rows {
			transposeGeneric(dst[wholeRows:], ldd, src[wholeRows*lds:], lds, rows-wholeRows, cols)
		}
	}
}

func copyPanelWith(vector func(dst, src *float32, ld, rows int)) func(dst, src []float32, ld, rows int) {
	return func(dst, src []float32, ld, rows int) { vector(&dst[0], &src[0], ld, rows) }
}

func reluBackwardWith(lanes int, vector func(dx, y, dy *float32, n int)) func(dx, y, dy []float32) {
	return backwardWith(lanes, vector, reluBackwardGeneric)
}

// backwardWith extends the gradient of an element-wise function of x.
func backwardWith(lanes int, vector func(dx, x, dy *float32, n int), rest func(dx, x, dy []float32)) func(dx, x, dy []float32) {
	return func(dx, x, dy []float32) {
		n := len(x) &^ (lanes - 1)
		if n > 0 {
			vector(&dx[0], &x[0], &dy[0], n)
		}
		rest(dx[n:], x[n:], dy[n:])
	}
}

func dropoutWith(lanes int, vector func(y, x *float32, n int, first, sample uint32, d *Dropout)) func(y, x []float32, sample uint32, d *Dropout) {
	return func(y, x []float32, sample uint32, d *Dropout) {
		n := len(x) &^ (4*lanes - 1)
		if n > 0 {
			vector(&y[0], &x[0], n, 0, sample, d)
		}
		dropoutFrom(uint32(n/4), y[n:], x[n:], sample, d)
	}
}

func adamWith(lanes int, vector func(param, grad, m, v *float32, n int, s *AdamStep)) func(param, grad, m, v []float32, s *AdamStep) {
	return func(param, grad, m, v []float32, s *AdamStep) {
		n := len(grad) &^ (lanes - 1)
		if n > 0 {
			vector(&param[0], &grad[0], &m[0], &v[0], n, s)
		}
		adamGeneric(param[n:], grad[n:], m[n:], v[n:], s)
	}
}

func emaWith(lanes int, vector func(average, param *float32, n int, s *EMAStep)) func(average, param []float32, s *EMAStep) {
	return func(average, param []float32, s *EMAStep) {
		n := len(param) &^ (lanes - 1)
		if n > 0 {
			vector(&average[0], &param[0], n, s)
		}
		emaGeneric(average[n:], param[n:], s)
	}
}

func sgdWith(lanes int, plain func(param, grad *float32, n int, s *SGDStep), momentum func(param, grad, m *float32, n int, s *SGDStep)) func(param, grad, m []float32, s *SGDStep) {
	return func(param, grad, m []float32, s *SGDStep) {
		n := len(grad) &^ (lanes - 1)
		if m == nil {
			if n > 0 {
				plain(&param[0], &grad[0], n, s)
			}
			sgdGeneric(param[n:], grad[n:], nil, s)
			return
		}
		if n > 0 {
			momentum(&param[0], &grad[0], &m[0], n, s)
		}
		sgdGeneric(param[n:], grad[n:], m[n:], s)
	}
}

func columnSumWith(block int, vector func(sum, x *float32, ld, rows int)) func(sum, x []float32, ld, rows int) {
	return func(sum, x []float32, ld, rows int) {
		j := 0
		for ; j+block <= len(sum); j += block {
			vector(&sum[j], &x[j], ld, rows)
		}
		if j < len(sum) {
			columnSumGeneric(sum[j:], x[j:], ld, rows)
		}
	}
}

func columnSquaresWith(block int, vector func(sum, squares, x, shift *float32, ld, rows int)) func(sum, squares, x, shift []float32, ld, rows int) {
	return func(sum, squares, x, shift []float32, ld, rows int) {
		j := 0
		for ; j+block <= len(sum); j += block {
			vector(&sum[j], &squares[j], &x[j], &shift[j], ld, rows)
		}
		if j < len(sum) {
			columnSquaresGeneric(sum[j:], squares[j:], x[j:], shift[j:], ld, rows)
		}
	}
}

func columnDotsWith(block int, vector func(sum, dot, dy, x, mean *float32, ld, rows int)) func(sum, dot, dy, x, mean []float32, ld, rows int) {
	return func(sum, dot, dy, x, mean []float32, ld, rows int) {
		j := 0
		for ; j+block <= len(sum); j += block {
			vector(&sum[j], &dot[j], &dy[j], &x[j], &mean[j], ld, rows)
		}
		if j < len(sum) {
			columnDotsGeneric(sum[j:], dot[j:], dy[j:], x[j:], mean[j:], ld, rows)
		}
	}
}

func normalizeWith(block int, vector func(y, x, mean, scale, shift *float32, ld, rows int), rest func(y, x, mean, scale, shift []float32, ld, rows int)) func(y, x, mean, scale, shift []float32, ld, rows int) {
	return func(y, x, mean, scale, shift []float32, ld, rows int) {
		j := 0
		for ; j+block <= len(mean); j += block {
			vector(&y[j], &x[j], &mean[j], &scale[j], &shift[j], ld, rows)
		}
		if j < len(mean) {
			rest(y[j:], x[j:], mean[j:], scale[j:], shift[j:], ld, rows)
		}
	}
}

func normalizeBackwardWith(block int, vector func(dx, dy, x, mean, scale, slope, shift *float32, ld, rows int)) func(dx, dy, x, mean, scale, slope, shift []float32, ld, rows int) {
	return func(dx, dy, x, mean, scale, slope, shift []float32, ld, rows int) {
		j := 0
		for ; j+block <= len(mean); j += block {
			vector(&dx[j], &dy[j], &x[j], &mean[j], &scale[j], &slope[j], &shift[j], ld, rows)
		}
		if j < len(mean) {
			normalizeBackwardGeneric(dx[j:], dy[j:], x[j:], mean[j:], scale[j:], slope[j:], shift[j:], ld, rows)
		}
	}
}

// maxPoolWith uses the kernels only for whole vectors of channels, as the models
// have.
func maxPoolWith(lanes int, plain func(y, x0, x1 *float32, c, pixels int), withIndex func(y *float32, index *uint32, x0, x1 *float32, c, pixels int)) func(y []float32, index []uint32, x0, x1 []float32, c int) {
	return func(y []float32, index []uint32, x0, x1 []float32, c int) {
		switch {
		case c%lanes != 0:
			maxPool2x2Generic(y, index, x0, x1, c)
		case index == nil:
			plain(&y[0], &x0[0], &x1[0], c, len(y)/c)
		default:
			withIndex(&y[0], &index[0], &x0[0], &x1[0], c, len(y)/c)
		}
	}
}

func maxPoolBackwardWith(lanes int, vector func(dx0, dx1, dy *float32, index *uint32, c, pixels int)) func(dx0, dx1, dy []float32, index []uint32, c int) {
	return func(dx0, dx1, dy []float32, index []uint32, c int) {
		if c%lanes != 0 {
			maxPool2x2BackwardGeneric(dx0, dx1, dy, index, c)
			return
		}
		vector(&dx0[0], &dx1[0], &dy[0], &index[0], c, len(dy)/c)
	}
}

func reluDotsWith(block int, vector func(sum, dot, dy, y, x, mean *float32, ld, rows int)) func(sum, dot, dy, y, x, mean []float32, ld, rows int) {
	return func(sum, dot, dy, y, x, mean []float32, ld, rows int) {
		j := 0
		for ; j+block <= len(sum); j += block {
			vector(&sum[j], &dot[j], &dy[j], &y[j], &x[j], &mean[j], ld, rows)
		}
		if j < len(sum) {
			reluDotsGeneric(sum[j:], dot[j:], dy[j:], y[j:], x[j:], mean[j:], ld, rows)
		}
	}
}

func normalizeReLUBackwardWith(block int, vector func(dx, dy, y, x, mean, scale, slope, shift *float32, ld, rows int)) func(dx, dy, y, x, mean, scale, slope, shift []float32, ld, rows int) {
	return func(dx, dy, y, x, mean, scale, slope, shift []float32, ld, rows int) {
		j := 0
		for ; j+block <= len(mean); j += block {
			vector(&dx[j], &dy[j], &y[j], &x[j], &mean[j], &scale[j], &slope[j], &shift[j], ld, rows)
		}
		if j < len(mean) {
			normalizeReLUBackwardGeneric(dx[j:], dy[j:], y[j:], x[j:], mean[j:], scale[j:], slope[j:], shift[j:], ld, rows)
		}
	}
}

// The fused pools also use the kernels only for whole vectors of channels.

func normalizeReLUPoolWith(lanes int, plain func(y, x0, x1, mean, scale, shift *float32, c, windows int), withIndex func(y *float32, index *uint32, x0, x1, mean, scale, shift *float32, c, windows int)) func(y []float32, index []uint32, x0, x1, mean, scale, shift []float32, c int) {
	return func(y []float32, index []uint32, x0, x1, mean, scale, shift []float32, c int) {
		switch {
		case c%lanes != 0:
			normalizeReLUPool2x2Generic(y, index, x0, x1, mean, scale, shift, c)
		case index == nil:
			plain(&y[0], &x0[0], &x1[0], &mean[0], &scale[0], &shift[0], c, len(y)/c)
		default:
			withIndex(&y[0], &index[0], &x0[0], &x1[0], &mean[0], &scale[0], &shift[0], c, len(y)/c)
		}
	}
}

func reluPoolDotsWith(lanes int, vector func(sum, dot, dy, y *float32, index *uint32, x0, x1, mean *float32, c, windows int)) func(sum, dot, dy, y []float32, index []uint32, x0, x1, mean []float32, c int) {
	return func(sum, dot, dy, y []float32, index []uint32, x0, x1, mean []float32, c int) {
		if c%lanes != 0 {
			reluPool2x2DotsGeneric(sum, dot, dy, y, index, x0, x1, mean, c)
			return
		}
		vector(&sum[0], &dot[0], &dy[0], &y[0], &index[0], &x0[0], &x1[0], &mean[0], c, len(y)/c)
	}
}

func reluPoolBackwardWith(lanes int, vector func(dx0, dx1, dy, y *float32, index *uint32, x0, x1, mean, scale, slope, shift *float32, c, windows int)) func(dx0, dx1, dy, y []float32, index []uint32, x0, x1, mean, scale, slope, shift []float32, c int) {
	return func(dx0, dx1, dy, y []float32, index []uint32, x0, x1, mean, scale, slope, shift []float32, c int) {
		if c%lanes != 0 {
			reluPool2x2BackwardGeneric(dx0, dx1, dy, y, index, x0, x1, mean, scale, slope, shift, c)
			return
		}
		vector(&dx0[0], &dx1[0], &dy[0], &y[0], &index[0], &x0[0], &x1[0], &mean[0], &scale[0], &slope[0], &shift[0], c, len(y)/c)
	}
}

// winogradVectors are the kernels of the transforms of a [Winograd].
type winogradVectors struct {
	filter          func(u, filter *float32, n, du, dg int)
	input           func(v, x *float32, tiles, c, row, dv int)
	output          func(y, m, bias *float32, tiles, c, ldy, row, ldm, dm, rows, cols int)
	normalize, pool func(y, m, constants *float32, tiles, c, ldy, row, ldm, dm, rows, cols int)
	gradient        func(v, y *float32, tiles, c, ldy, row, dv int)
	weight          func(dw, m *float32, n, ddw, dm int)
}

// winogradWith uses the kernels of the input and of the output's gradient only for
// whole vectors of channels.
func winogradWith(rest Winograd, lanes int, vector winogradVectors) Winograd {
	w := Winograd{Outputs: rest.Outputs, Taps: rest.Taps}
	w.Filter = func(u, g []float32, n, du, dg int) {
		whole := n &^ (lanes - 1)
		if whole > 0 {
			vector.filter(&u[0], &g[0], whole, du, dg)
		}
		if whole < n {
			rest.Filter(u[whole:], g[whole:], n-whole, du, dg)
		}
	}
	w.Input = func(v, x []float32, tiles, c, row, dv int) {
		if c%lanes != 0 {
			rest.Input(v, x, tiles, c, row, dv)
			return
		}
		vector.input(&v[0], &x[0], tiles, c, row, dv)
	}
	w.Output = fromPointsWith(lanes, vector.output, rest.Output)
	w.Normalize = fromPointsWith(lanes, vector.normalize, rest.Normalize)
	w.Pool = fromPointsWith(lanes, vector.pool, rest.Pool)
	w.Gradient = func(v, y []float32, tiles, c, ldy, row, dv int) {
		if c%lanes != 0 {
			rest.Gradient(v, y, tiles, c, ldy, row, dv)
			return
		}
		vector.gradient(&v[0], &y[0], tiles, c, ldy, row, dv)
	}
	w.Weight = func(dw, m []float32, n, ddw, dm int) {
		whole := n &^ (lanes - 1)
		if whole > 0 {
			vector.weight(&dw[0], &m[0], whole, ddw, dm)
		}
		if whole < n {
			rest.Weight(dw[whole:], m[whole:], n-whole, ddw, dm)
		}
	}
	return w
}

// fromPointsWith uses a kernel for whole vectors of channels, and rest for the others.
func fromPointsWith(lanes int, vector func(y, m, constants *float32, tiles, c, ldy, row, ldm, dm, rows, cols int),
	rest func(y, m, constants []float32, tiles, c, ldy, row, ldm, dm, rows, cols int)) func(y, m, constants []float32, tiles, c, ldy, row, ldm, dm, rows, cols int) {
	return func(y, m, constants []float32, tiles, c, ldy, row, ldm, dm, rows, cols int) {
		whole := c &^ (lanes - 1)
		if whole > 0 {
			vector(&y[0], &m[0], &constants[0], tiles, whole, ldy, row, ldm, dm, rows, cols)
		}
		if whole < c {
			rest(y[whole:], m[whole:], constants[whole:], tiles, c-whole, ldy, row, ldm, dm, rows, cols)
		}
	}
}

// conv3x3With extends an assembly kernel, which computes whole runs, to rows of any
// number of pixels: the last run computes some of them again.
func conv3x3With(vector func(c *Conv3x3)) func(c *Conv3x3, pixels, channels int) {
	return func(c *Conv3x3, pixels, channels int) {
		c.Channels = channels
		c.Runs = (pixels + Conv3x3Run - 1) / Conv3x3Run
		c.BackX = c.Runs*Conv3x3Run - pixels
		c.BackY = c.BackX * c.Pixel
		vector(c)
	}
}

func conv3x3PoolWith(vector func(c *Conv3x3)) func(c *Conv3x3, windows, channels int) {
	return func(c *Conv3x3, windows, channels int) {
		c.Channels, c.Runs, c.BackX, c.BackY = channels, windows, 0, 0
		vector(c)
	}
}

func conv3x3WeightWith(vector func(c *Conv3x3)) func(c *Conv3x3, pixels, channels int) {
	return func(c *Conv3x3, pixels, channels int) {
		c.Channels, c.Runs, c.Rest = channels, pixels/Conv3x3Run, pixels%Conv3x3Run
		vector(c)
	}
}
