//go:build cgo

package vulkan

import "github.com/fmnist-gpu/fmnist-gpu/kernels"

// Convolutions are matrix products whose operands are gathered on the way:
// rows are pixels, a patch has KH·KW·I taps.

func (l *lowering) convForward(op kernels.ConvForward) {
	pixels, o := op.Y.Matrix()
	p := l.planProduct(pixels, o, op.W.Len()/o)
	// The statistics of the tiles come from the product itself, unless its
	// tiles are only partial sums.
	statistics := !op.Mean.Absent()
	ofTiles := statistics && p.splits == 1
	c := columns{rows: pixels, cols: o, chunkRows: p.bm, chunks: ceilDiv(pixels, p.bm)}
	partials := l.write(op.Y) // left alone by the shader
	if ofTiles {
		partials = arg{l.partials(2 * c.chunks * o), kernels.Write}
	}
	spec := append(convConstants(p, op.X, op.W, op.Stride, op.Pad), flag(ofTiles))
	push := func(bias, _ bool) []byte { return pushed(pixels, p.splitK, flag(bias)) }
	l.multiply("conv_forward", p, spec, push,
		[]arg{l.read(op.X), l.read(op.W), l.readOr(op.Bias, op.W)}, op.Y, op.Bias, false, partials)
	switch {
	case ofTiles:
		l.combine(c, partials.span, l.write(op.Mean), l.write(op.Var))
	case statistics:
		l.statistics(op.Y, l.write(op.Mean), l.write(op.Var))
	}
}

func (l *lowering) convBackwardInput(op kernels.ConvBackwardInput) {
	pixels, i := op.DX.Matrix()
	p := l.planProduct(pixels, i, op.W.Len()/i)
	push := func(_, _ bool) []byte { return pushed(pixels, p.splitK) }
	l.multiply("conv_backward_input", p, convConstants(p, op.DX, op.W, op.Stride, op.Pad), push,
		[]arg{l.read(op.DY), l.read(op.W)}, op.DX, kernels.Tensor{}, false)
}

func (l *lowering) convBackwardWeight(op kernels.ConvBackwardWeight) {
	pixels, o := op.DY.Matrix()
	p := l.planProduct(o, op.DW.Len()/o, pixels)
	push := func(_, _ bool) []byte { return pushed(pixels, p.splitK) }
	l.multiply("conv_backward_weight", p, convConstants(p, op.X, op.DW, op.Stride, op.Pad), push,
		[]arg{l.read(op.X), l.read(op.DY)}, op.DW, kernels.Tensor{}, false)
	if !op.DBias.Absent() {
		l.columnSum(kernels.ColumnSum{X: op.DY, Y: op.DBias})
	}
}

// convConstants returns the constants of a product over the convolution of x
// (N, H, W, I) with w (O, KH, KW, I), or of their gradients.
func convConstants(p product, x, w kernels.Tensor, stride, pad int) []uint32 {
	return p.constants(x.Shape[1], x.Shape[2], x.Shape[3], w.Shape[0], w.Shape[1], w.Shape[2], stride, pad)
}
