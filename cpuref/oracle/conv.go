package oracle

import "github.com/fmnist-gpu/fmnist-gpu/kernels"

// convForward adds up, for each output element, the products of the taps that
// fall inside the image:
//
//	Y[n,oh,ow,o] = Bias[o] + Σ_{kh,kw,i} W[o,kh,kw,i] · X[n, oh·Stride+kh−Pad, ow·Stride+kw−Pad, i]
func convForward(m *memory, op kernels.ConvForward) {
	x, w := m.factors(op.X, op.Precision), m.factors(op.W, op.Precision)
	bias, y := m.floats(op.Bias), m.floats(op.Y)
	g := newConvGeometry(op.X, op.W, op.Y, op.Stride, op.Pad)
	for n := range g.n {
		for oh := range g.oh {
			for ow := range g.ow {
				for o := range g.o {
					sum := 0.0
					if bias != nil {
						sum = float64(bias[o])
					}
					g.eachTap(n, oh, ow, o, func(xi, wi int) {
						sum += dot(x[xi:xi+g.i], w[wi:wi+g.i])
					})
					y[g.output(n, oh, ow, o)] = float32(sum)
				}
			}
		}
	}
	if !op.Mean.Absent() {
		columnStatistics(y, m.floats(op.Mean), m.floats(op.Var))
	}
}

// columnStatistics stores mean and biased variance of each column of y, as it
// is after rounding.
func columnStatistics(y, mean, variance []float32) {
	channels := len(mean)
	for o := range channels {
		m, v := statistics(y[o:], len(y)/channels, channels)
		mean[o], variance[o] = float32(m), float32(v)
	}
}

// convBackwardInput is convForward's chain rule, tap by tap: each product
// W·X of a sum Y sends W·DY back to its X.
func convBackwardInput(m *memory, op kernels.ConvBackwardInput) {
	dy, w, dx := m.factors(op.DY, op.Precision), m.factors(op.W, op.Precision), m.floats(op.DX)
	g := newConvGeometry(op.DX, op.W, op.DY, op.Stride, op.Pad)
	sum := make([]float64, len(dx))
	for n := range g.n {
		for oh := range g.oh {
			for ow := range g.ow {
				for o := range g.o {
					d := float64(dy[g.output(n, oh, ow, o)])
					g.eachTap(n, oh, ow, o, func(xi, wi int) {
						addScaled(sum[xi:xi+g.i], d, w[wi:wi+g.i])
					})
				}
			}
		}
	}
	round(dx, sum)
}

// convBackwardWeight is convForward's chain rule, tap by tap: each product
// W·X of a sum Y sends X·DY back to its W.
func convBackwardWeight(m *memory, op kernels.ConvBackwardWeight) {
	x, dy, dw := m.factors(op.X, op.Precision), m.factors(op.DY, op.Precision), m.floats(op.DW)
	g := newConvGeometry(op.X, op.DW, op.DY, op.Stride, op.Pad)
	sum := make([]float64, len(dw))
	for n := range g.n {
		for oh := range g.oh {
			for ow := range g.ow {
				for o := range g.o {
					d := float64(dy[g.output(n, oh, ow, o)])
					g.eachTap(n, oh, ow, o, func(xi, wi int) {
						addScaled(sum[wi:wi+g.i], d, x[xi:xi+g.i])
					})
				}
			}
		}
	}
	round(dw, sum)
	if !op.DBias.Absent() {
		columnSum(m, kernels.ColumnSum{X: op.DY, Y: op.DBias})
	}
}

// convGeometry holds the extents of a convolution, under the names that the
// ops' doc comments use.
type convGeometry struct {
	n, h, w, i  int // X (N, H, W, I)
	o, kh, kw   int // W (O, KH, KW, I)
	oh, ow      int // Y (N, OH, OW, O)
	stride, pad int
}

func newConvGeometry(x, w, y kernels.Tensor, stride, pad int) convGeometry {
	return convGeometry{
		n: x.Shape[0], h: x.Shape[1], w: x.Shape[2], i: x.Shape[3],
		o: w.Shape[0], kh: w.Shape[1], kw: w.Shape[2],
		oh: y.Shape[1], ow: y.Shape[2],
		stride: stride, pad: pad,
	}
}

// output returns the position of Y[n,oh,ow,o].
func (g *convGeometry) output(n, oh, ow, o int) int {
	return ((n*g.oh+oh)*g.ow+ow)*g.o + o
}

// eachTap calls f for every (kh, kw) of output element (n, oh, ow, o) whose
// pixel is not padding, with the positions of X[n,h,w,0] and W[o,kh,kw,0].
func (g *convGeometry) eachTap(n, oh, ow, o int, f func(xi, wi int)) {
	for kh := range g.kh {
		h := oh*g.stride + kh - g.pad
		if h < 0 || h >= g.h {
			continue
		}
		for kw := range g.kw {
			w := ow*g.stride + kw - g.pad
			if w < 0 || w >= g.w {
				continue
			}
			f(((n*g.h+h)*g.w+w)*g.i, ((o*g.kh+kh)*g.kw+kw)*g.i)
		}
	}
}
