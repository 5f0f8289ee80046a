package cpuref

import "github.com/fmnist-gpu/fmnist-gpu/kernels"

// Three direct algorithms compute the convolution ops: a correlation for the forward
// pass and the gradient of the input (conv_correlation.go, conv_backward_input.go),
// and, for the gradient of the weights, matrix products by rows of filters
// (conv_weight.go) or, for few taps, by single taps (conv_weight_taps.go). For 3×3 filters
// on images of one channel, conv_3x3.go has both. Where it is faster, Winograd's
// algorithm takes their place (conv_winograd.go, conv_winograd_weight.go).

func (p *program) convForward(op kernels.ConvForward) func() error {
	if f := p.backend.winogradOf(op); f != nil {
		return p.winogradForward(f, op, nil)
	}
	return p.directForward(op, nil)
}

// directForward computes the convolution, followed by the epilogue if e is not nil.
func (p *program) directForward(op kernels.ConvForward, e *epilogue) func() error {
	o, kh, kw, i := op.W.Shape[0], op.W.Shape[1], op.W.Shape[2], op.W.Shape[3]
	w := p.floats(op.W)
	k := p.backend.simd
	x := p.newCorrelation(op.Precision, op.X, forwardFrame(op.X, op.Pad))
	x.stride, x.out = op.Stride, o
	x.dst, x.bias, x.epilogue = p.floats(op.Y), p.floats(op.Bias), e
	x.choose3x3(kh, kw, op.Y.Shape[2])
	x.cut(kh, kw, op.Y.Shape[1], op.Y.Shape[2])
	if !op.Mean.Absent() {
		x.stats = newImageStatistics(p, op)
	}
	return x.compile(op.W, "filters", func(packed, private []float32, panel, tap int) {
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

func (p *program) convBackwardWeight(op kernels.ConvBackwardWeight) func() error {
	if f := p.backend.winogradOf(op); f != nil {
		return p.winogradWeight(f, op)
	}
	return p.directBackwardWeight(op)
}

func (p *program) directBackwardWeight(op kernels.ConvBackwardWeight) func() error {
	o, kh, kw := op.DW.Shape[0], op.DW.Shape[1], op.DW.Shape[2]
	g := &weightGradient{p: p, tile: p.backend.multiplierOf(op.Precision), frame: forwardFrame(op.X, op.Pad), kh: kh, kw: kw, stride: op.Stride,
		oh: op.DY.Shape[1], ow: op.DY.Shape[2], o: o, batch: op.X.Shape[0], images: op.X.Shape[0],
		x: p.floats(op.X), dy: p.floats(op.DY), dw: p.floats(op.DW)}
	if op.Precision == kernels.Mixed {
		g.paired = true
		g.images = pairs(g.batch)
	}
	if !op.DBias.Absent() {
		g.dbias = newBiasGradient(p, op)
	}
	if g.rowTaps()*2 < p.backend.simd.Cols {
		return g.compileByTaps()
	}
	return g.compile()
}

// frame is a copy of an image inside a border of zeros, so that convolution taps
// need no bounds checks and the taps of a filter's row are contiguous. Image
// pixel (h, w) goes to frame pixel (top + h, left + w).
type frame struct {
	h, w, c   int // image
	fh, fw    int // frame, of the same c channels
	top, left int
}

func (f *frame) imageSize() int { return f.h * f.w * f.c }
func (f *frame) size() int      { return f.fh * f.fw * f.c }

// fill copies an image into its frame.
func (f *frame) fill(dst, image []float32) {
	row := f.w * f.c
	f.fillRows(dst, 0, f.fh, func(line []float32, h int) { copy(line, image[h*row:(h+1)*row]) })
}

// fillRows clears the border in the frame's rows [from, to) and calls put for each
// row h of the image among them.
func (f *frame) fillRows(dst []float32, from, to int, put func(line []float32, h int)) {
	row, stride := f.w*f.c, f.fw*f.c
	for h := from; h < to; h++ {
		line := dst[h*stride : (h+1)*stride]
		if h < f.top || h >= f.top+f.h {
			clear(line)
			continue
		}
		clear(line[:f.left*f.c])
		put(line[f.left*f.c:][:row], h-f.top)
		clear(line[f.left*f.c+row:])
	}
}

// forwardFrame returns the frame of a convolution's input.
func forwardFrame(x kernels.Tensor, pad int) frame {
	h, w, c := x.Shape[1], x.Shape[2], x.Shape[3]
	return frame{h: h, w: w, c: c, fh: h + 2*pad, fw: w + 2*pad, top: pad, left: pad}
}
