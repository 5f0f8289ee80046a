//go:build cgo

package vulkan

import (
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/shaders"
)

// Convolutions are matrix products whose operands are gathered on the fly:
// rows are pixels, and a patch has KH·KW·I taps.

func (l *lowering) convForward(op kernels.ConvForward) {
	pixels, o := op.Y.Matrix()
	p := l.outputProduct(op)
	// The product itself computes the statistics of its tiles, unless a
	// workgroup ends up with only a partial sum.
	statistics := !op.Mean.Absent()
	ofTiles := statistics && (p.splits == 1 || l.lastGroup)
	combine := ofTiles && l.lastGroup
	c := columns{rows: pixels, cols: o, chunkRows: p.bm, chunks: ceilDiv(pixels, p.bm)}
	var partials, mean, variance arg
	counters := 0
	if ofTiles {
		partials = arg{l.partials(2 * c.chunks * o), kernels.Write}
	}
	if combine {
		mean, variance, counters = l.write(op.Mean), l.write(op.Var), p.combineCounters(c.chunks, ceilDiv(o, p.bn))
	}
	l.multiply(multiplication{product: p, c: op.Y, bias: op.Bias, mixed: mixed(op), counters: counters,
		call: func(s shared) shaders.Call[arg] {
			return shaders.ConvForward(shaders.ConvForwardSpec{MatrixTileSpec: s.tile, ConvShapeSpec: convShape(op.X, op.W, op.Stride, op.Pad),
				WithStatistics: ofTiles, Combine: combine, Normalize: false, WithReLU: false},
				shaders.ConvForwardPush{Pixels: pixels, SplitK: p.splitK, WithBias: flag(s.withBias), Eps: 0},
				shaders.ConvForwardBuffers[arg]{X: l.read(op.X), Weight: l.read(op.W), Bias: s.bias, Y: s.result,
					Parts: s.parts, Counters: s.counters, Partials: partials, Mean: mean, Variance: variance, Gamma: arg{}, Beta: arg{}})
		}})
	switch {
	case combine:
	case ofTiles:
		l.combine(c, partials.span, l.write(op.Mean), l.write(op.Var))
	case statistics:
		l.statistics(op.Y, l.write(op.Mean), l.write(op.Var))
	}
}

// outputProduct plans a convolution.
func (l *lowering) outputProduct(op kernels.ConvForward) product {
	pixels, o := op.Y.Matrix()
	return l.plan("conv_forward", product{m: pixels, n: o, k: op.W.Len() / o}, op.Precision)
}

// convBackwardInput lowers the gradient of the input, with the sums of the
// gradient of a batch-norm that joins it.
func (l *lowering) convBackwardInput(op kernels.ConvBackwardInput, joined kernels.Op) {
	p := l.inputGradientProduct(op)
	sums := l.gradientSumsOf(p, joined)
	l.multiply(multiplication{product: p, c: op.DX, mixed: mixed(op), counters: sums.counters,
		call: func(s shared) shaders.Call[arg] {
			return shaders.ConvBackwardInput(shaders.ConvBackwardInputSpec{MatrixTileSpec: s.tile,
				ConvShapeSpec: convShape(op.DX, op.W, op.Stride, op.Pad), MatrixGradientSumsSpec: sums.spec},
				shaders.ConvBackwardInputPush{Pixels: p.m, SplitK: p.splitK},
				shaders.ConvBackwardInputBuffers[arg]{DY: l.read(op.DY), Weight: l.read(op.W), DX: s.result, Parts: s.parts,
					Counters: s.counters, MatrixGradientSumsBuffers: sums.buffers})
		}})
	l.finish(sums)
}

// inputGradientProduct plans the gradient of the input.
func (l *lowering) inputGradientProduct(op kernels.ConvBackwardInput) product {
	pixels, i := op.DX.Matrix()
	return l.plan("conv_backward_input", product{m: pixels, n: i, k: op.W.Len() / i}, op.Precision)
}

func (l *lowering) convBackwardWeight(op kernels.ConvBackwardWeight) {
	pixels, o := op.DY.Matrix()
	p := l.plan("conv_backward_weight", product{m: o, n: op.DW.Len() / o, k: pixels}, op.Precision)
	l.multiply(multiplication{product: p, c: op.DW, mixed: mixed(op), rowSums: op.DBias,
		call: func(s shared) shaders.Call[arg] {
			return shaders.ConvBackwardWeight(shaders.ConvBackwardWeightSpec{MatrixTileSpec: s.tile,
				ConvShapeSpec: convShape(op.X, op.DW, op.Stride, op.Pad)},
				shaders.ConvBackwardWeightPush{Pixels: pixels, SplitK: p.splitK},
				shaders.ConvBackwardWeightBuffers[arg]{X: l.read(op.X), DY: l.read(op.DY), DW: s.result, Parts: s.parts,
					Counters: s.counters, RowParts: s.rowParts, DBias: s.rowSums})
		}})
}

// convShape returns the constants of a convolution of x (N, H, W, I) with
// w (O, KH, KW, I), or of their gradients.
func convShape(x, w kernels.Tensor, stride, pad int) shaders.ConvShapeSpec {
	return shaders.ConvShapeSpec{H: x.Shape[1], W: x.Shape[2], I: x.Shape[3],
		O: w.Shape[0], KH: w.Shape[1], KW: w.Shape[2], Stride: stride, Pad: pad}
}
