package oracle

import (
	"gonum.org/v1/gonum/floats"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// convForward adds up, for each output element, the products of the taps that
// fall inside the image:
//
//	Y[n,oh,ow,o] = Bias[o] + Σ_{kh,kw,i} W[o,kh,kw,i] · X[n, oh·Stride+kh−Pad, ow·Stride+kw−Pad, i]
func convForward(m *memory, op kernels.ConvForward) {
	x, w := m.factors(op.X, op.Precision), m.factors(op.W, op.Precision)
	bias, y := m.floats(op.Bias), m.floats(op.Y)
	g := newConvGeometry(op.X, op.W, op.Y, op.Stride, op.Pad)
	parallel(g.n, func(n int) {
		sum := make([]float64, g.o)
		for oh := range g.oh {
			for ow := range g.ow {
				clear(sum)
				for o := range bias {
					sum[o] = float64(bias[o])
				}
				g.eachRow(n, oh, ow, func(xi, wi, length int) {
					for o := range sum {
						wo := o*g.patch() + wi
						sum[o] += floats.Dot(x[xi:xi+length], w[wo:wo+length])
					}
				})
				round(y[g.output(n, oh, ow):], sum)
			}
		}
	})
	if !op.Mean.Absent() {
		columnStatistics(y, m.floats(op.Mean), m.floats(op.Var))
	}
}

// columnStatistics stores the mean and biased variance of each column of y,
// after rounding.
func columnStatistics(y, mean, variance []float32) {
	channels := len(mean)
	for o := range channels {
		m, v := statistics(y[o:], len(y)/channels, channels)
		mean[o], variance[o] = float32(m), float32(v)
	}
}

// convBackwardInput applies the chain rule to convForward, tap by tap: each
// product W·X of a sum Y adds W·DY to the gradient of its X.
func convBackwardInput(m *memory, op kernels.ConvBackwardInput) {
	dy, w, dx := m.factors(op.DY, op.Precision), m.factors(op.W, op.Precision), m.floats(op.DX)
	g := newConvGeometry(op.DX, op.W, op.DY, op.Stride, op.Pad)
	sum := make([]float64, len(dx))
	parallel(g.n, func(n int) {
		for oh := range g.oh {
			for ow := range g.ow {
				d := dy[g.output(n, oh, ow):]
				g.eachRow(n, oh, ow, func(xi, wi, length int) {
					for o := range g.o {
						wo := o*g.patch() + wi
						floats.AddScaled(sum[xi:xi+length], d[o], w[wo:wo+length])
					}
				})
			}
		}
	})
	round(dx, sum)
}

// convBackwardWeight applies the chain rule to convForward, tap by tap: each
// product W·X of a sum Y adds X·DY to the gradient of its W.
func convBackwardWeight(m *memory, op kernels.ConvBackwardWeight) {
	x, dy, dw := m.factors(op.X, op.Precision), m.factors(op.DY, op.Precision), m.floats(op.DW)
	g := newConvGeometry(op.X, op.DW, op.DY, op.Stride, op.Pad)
	parallel(g.o, func(o int) {
		sum := make([]float64, g.patch())
		for n := range g.n {
			for oh := range g.oh {
				for ow := range g.ow {
					d := dy[g.output(n, oh, ow)+o]
					g.eachRow(n, oh, ow, func(xi, wi, length int) {
						floats.AddScaled(sum[wi:wi+length], d, x[xi:xi+length])
					})
				}
			}
		}
		round(dw[o*g.patch():], sum)
	})
	if !op.DBias.Absent() {
		columnSum(m, kernels.ColumnSum{X: op.DY, Y: op.DBias})
	}
}

// convGeometry holds the extents of a convolution, named as in the ops' doc
// comments.
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

// output returns the position of Y[n,oh,ow,0].
func (g *convGeometry) output(n, oh, ow int) int { return ((n*g.oh+oh)*g.ow + ow) * g.o }

// patch returns the number of weights of one output channel.
func (g *convGeometry) patch() int { return g.kh * g.kw * g.i }

// eachRow calls f for every kh of output pixel (n, oh, ow) whose row of the
// image is not padding. The taps (kw, i) of a row are contiguous in both X and
// W: those inside the image are length elements starting at X[xi] and, for
// output channel o, at W[o·patch + wi].
func (g *convGeometry) eachRow(n, oh, ow int, f func(xi, wi, length int)) {
	w0 := ow*g.stride - g.pad // of kw = 0
	first, end := max(0, -w0), min(g.kw, g.w-w0)
	if first >= end {
		return
	}
	for kh := range g.kh {
		h := oh*g.stride + kh - g.pad
		if h < 0 || h >= g.h {
			continue
		}
		f(((n*g.h+h)*g.w+w0+first)*g.i, (kh*g.kw+first)*g.i, (end-first)*g.i)
	}
}
