//go:build cgo

package vulkan

import "github.com/fmnist-gpu/fmnist-gpu/kernels"

// Convolutions are matrix products whose operands are gathered on the fly:
// rows are pixels, and a patch has KH·KW·I taps.

func (l *lowering) convForward(op kernels.ConvForward) {
	pixels, o := op.Y.Matrix()
	p := l.plan("conv_forward", pixels, o, op.W.Len()/o)
	// The product itself computes the statistics of its tiles, unless a
	// workgroup ends up with only a partial sum.
	statistics := !op.Mean.Absent()
	ofTiles := statistics && (p.splits == 1 || l.lastGroup)
	combine := ofTiles && l.lastGroup
	c := columns{rows: pixels, cols: o, chunkRows: p.bm, chunks: ceilDiv(pixels, p.bm)}
	y := l.write(op.Y)
	partials, mean, variance, counters := y, y, y, 0 // placeholders that the shader does not access
	if ofTiles {
		partials = arg{l.partials(2 * c.chunks * o), kernels.Write}
	}
	if combine {
		mean, variance, counters = l.write(op.Mean), l.write(op.Var), p.combineCounters(c.chunks, ceilDiv(o, p.bn))
	}
	l.multiply(multiplication{product: p, shader: "conv_forward",
		own:    append(convConstants(op.X, op.W, op.Stride, op.Pad), flag(ofTiles), flag(combine)),
		inputs: []arg{l.read(op.X), l.read(op.W), l.readOr(op.Bias, op.W)}, extra: []arg{partials, mean, variance},
		push: func(withBias, _ bool) []byte { return pushed(pixels, p.splitK, flag(withBias)) },
		c:    op.Y, bias: op.Bias, counters: counters})
	switch {
	case combine:
	case ofTiles:
		l.combine(c, partials.span, l.write(op.Mean), l.write(op.Var))
	case statistics:
		l.statistics(op.Y, l.write(op.Mean), l.write(op.Var))
	}
}

// convBackwardInput lowers the gradient of the input, with the sums of the
// gradient of a batch-norm that joins it.
func (l *lowering) convBackwardInput(op kernels.ConvBackwardInput, joined kernels.Op) {
	p := l.inputGradientProduct(op)
	sums := l.gradientSumsOf(op.DX, p, joined)
	l.multiply(multiplication{product: p, shader: "conv_backward_input",
		own:    append(convConstants(op.DX, op.W, op.Stride, op.Pad), sums.constants...),
		inputs: []arg{l.read(op.DY), l.read(op.W)}, extra: sums.args,
		push: func(_, _ bool) []byte { return pushed(p.m, p.splitK) }, c: op.DX, counters: sums.counters})
	l.finish(sums)
}

// inputGradientProduct plans the gradient of the input.
func (l *lowering) inputGradientProduct(op kernels.ConvBackwardInput) product {
	pixels, i := op.DX.Matrix()
	return l.plan("conv_backward_input", pixels, i, op.W.Len()/i)
}

func (l *lowering) convBackwardWeight(op kernels.ConvBackwardWeight) {
	pixels, o := op.DY.Matrix()
	p := l.plan("conv_backward_weight", o, op.DW.Len()/o, pixels)
	l.multiply(multiplication{product: p, shader: "conv_backward_weight",
		own: convConstants(op.X, op.DW, op.Stride, op.Pad), inputs: []arg{l.read(op.X), l.read(op.DY)},
		push: func(_, _ bool) []byte { return pushed(pixels, p.splitK) }, c: op.DW, rowSums: op.DBias, hasRowSums: true})
}

// convConstants returns the constants of a convolution of x (N, H, W, I) with
// w (O, KH, KW, I), or of their gradients.
func convConstants(x, w kernels.Tensor, stride, pad int) []uint32 {
	return constants(x.Shape[1], x.Shape[2], x.Shape[3], w.Shape[0], w.Shape[1], w.Shape[2], stride, pad)
}
