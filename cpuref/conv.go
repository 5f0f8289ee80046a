package cpuref

import "github.com/fmnist-gpu/fmnist-gpu/kernels"

// Three direct algorithms compute the convolution ops: a correlation (the forward
// pass and the gradient of the input, conv_correlation.go), and for the gradient
// of the weights products by rows of filters (conv_weight.go) or, for few taps, by
// single taps (conv_weight_taps.go). Where it is faster, Winograd's algorithm takes
// their place (conv_winograd.go and conv_winograd_weight.go).

func (p *program) convForward(op kernels.ConvForward) func() error {
	if p.backend.UsesWinograd(op) {
		return p.winogradForward(op)
	}
	return p.directForward(op)
}

func (p *program) directForward(op kernels.ConvForward) func() error {
	o, kh, kw, i := op.W.Shape[0], op.W.Shape[1], op.W.Shape[2], op.W.Shape[3]
	w := p.floats(op.W)
	k := p.backend.simd
	x := p.newCorrelation(op.Precision, op.X, forwardFrame(op.X, op.Pad))
	x.kh, x.kw, x.stride, x.out = kh, kw, op.Stride, o
	x.dst, x.bias = p.floats(op.Y), p.floats(op.Bias)
	if !op.Mean.Absent() {
		x.stats = newImageStatistics(p, op)
	}
	return x.compile(op.Y.Shape[1], op.Y.Shape[2], func(packed, private []float32, panel, tap int) {
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

func (p *program) convBackwardInput(op kernels.ConvBackwardInput) func() error {
	if p.backend.UsesWinograd(op) {
		return p.winogradBackwardInput(op)
	}
	return p.directBackwardInput(op)
}

// directBackwardInput correlates DY, dilated by the stride, with the filters
// rotated by 180° and their channels exchanged.
func (p *program) directBackwardInput(op kernels.ConvBackwardInput) func() error {
	o, kh, kw, i := op.W.Shape[0], op.W.Shape[1], op.W.Shape[2], op.W.Shape[3]
	h, w := op.DX.Shape[1], op.DX.Shape[2]
	f := frame{h: op.DY.Shape[1], w: op.DY.Shape[2], c: o, fh: h + kh - 1, fw: w + kw - 1,
		top: kh - 1 - op.Pad, left: kw - 1 - op.Pad, dilation: op.Stride}
	weight := p.floats(op.W)
	k := p.backend.simd
	x := p.newCorrelation(op.Precision, op.DY, f)
	x.kh, x.kw, x.stride, x.out, x.dst = kh, kw, 1, i, p.floats(op.DX)
	return x.compile(h, w, func(packed, _ []float32, panel, tap int) {
		j := panel * k.Cols
		cols := min(k.Cols, i-j)
		rotated := kh*kw - 1 - tap
		filter := func(row int) []float32 { return weight[(row*kh*kw+rotated)*i+j:][:cols] }
		for row := range x.frame.c {
			to := packed[row*k.Cols:]
			switch {
			case !x.paired:
				copy(to, filter(row))
			case 2*row+1 < o:
				k.PairRows(to, filter(2*row), filter(2*row+1))
			default:
				k.PairRows(to, filter(2*row), nil)
			}
		}
	})
}

func (p *program) convBackwardWeight(op kernels.ConvBackwardWeight) func() error {
	if p.backend.UsesWinograd(op) {
		return p.winogradWeight(op)
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
	if g.rowTaps()*2 <= p.backend.simd.Cols {
		return g.compileByTaps()
	}
	return g.compile()
}

// frame is a copy of an image inside a border of zeros, so that convolution taps
// need no bounds checks and the taps of a filter's row are contiguous. Image
// pixel (h, w) goes to frame pixel (top + h·dilation, left + w·dilation); pixels
// outside the frame are dropped.
type frame struct {
	h, w, c   int // image
	fh, fw    int // frame, of the same c channels
	top, left int
	dilation  int
}

func (f *frame) imageSize() int { return f.h * f.w * f.c }
func (f *frame) size() int      { return f.fh * f.fw * f.c }

// fill copies an image into its frame.
func (f *frame) fill(dst, image []float32) {
	if !f.whole() {
		f.scatter(dst, image)
		return
	}
	row := f.w * f.c
	f.fillRows(dst, func(line []float32, h int) { copy(line, image[h*row:(h+1)*row]) })
}

// whole reports whether the frame holds every row of the image in one piece.
func (f *frame) whole() bool {
	return f.dilation == 1 && f.top >= 0 && f.left >= 0 && f.top+f.h <= f.fh && f.left+f.w <= f.fw
}

// fillRows clears the border of a frame of whole rows and calls put for each row.
func (f *frame) fillRows(dst []float32, put func(line []float32, h int)) {
	row, stride := f.w*f.c, f.fw*f.c
	clear(dst[:f.top*stride])
	for h := range f.h {
		line := dst[(f.top+h)*stride : (f.top+h+1)*stride]
		clear(line[:f.left*f.c])
		put(line[f.left*f.c:][:row], h)
		clear(line[f.left*f.c+row:])
	}
	clear(dst[(f.top+f.h)*stride : f.size()])
}

// scatter is fill for pixels that are dilated or fall outside.
func (f *frame) scatter(dst, image []float32) {
	clear(dst[:f.size()])
	for h := range f.h {
		for w := range f.w {
			fh, fw := f.top+h*f.dilation, f.left+w*f.dilation
			if fh >= 0 && fh < f.fh && fw >= 0 && fw < f.fw {
				copy(dst[(fh*f.fw+fw)*f.c:][:f.c], image[(h*f.w+w)*f.c:])
			}
		}
	}
}

// forwardFrame returns the frame of a convolution's input.
func forwardFrame(x kernels.Tensor, pad int) frame {
	h, w, c := x.Shape[1], x.Shape[2], x.Shape[3]
	return frame{h: h, w: w, c: c, fh: h + 2*pad, fw: w + 2*pad, top: pad, left: pad, dilation: 1}
}
