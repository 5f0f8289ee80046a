//go:build cgo

package vulkan

import (
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/shaders"
)

// normalization is what batchnorm_forward.comp does, but for the statistics
// that it takes: the common form of all forward ops of batch-norm.
type normalization struct {
	x, gamma, beta, y               kernels.Tensor
	index                           kernels.Tensor // absent without pooling and in inference
	invStd, runningMean, runningVar kernels.Tensor // written in training, else absent

	window        int // Size of the pooling, 1 for none
	relu          bool
	momentum, eps float32
}

func (l *lowering) normalize(n normalization, mean, variance arg) {
	h, w, c := planes(n.x)
	rows, _ := n.x.Matrix()
	windows, _ := n.y.Matrix()
	unbias := 1.0
	if rows > 1 {
		unbias = float64(rows) / float64(rows-1)
	}
	training, withIndex := !n.invStd.Absent(), !n.index.Absent()
	var index, invStd, runningMean, runningVar arg
	if withIndex {
		index = l.write(n.index)
	}
	if training {
		invStd, runningMean, runningVar = l.write(n.invStd), l.update(n.runningMean), l.update(n.runningVar)
	}
	l.each(windows*ceilDiv(c, 4), shaders.BatchNormForward(
		shaders.BatchNormForwardSpec{H: h, W: w, C: c, Size: n.window, WithReLU: n.relu, WithIndex: withIndex, Training: training},
		shaders.BatchNormForwardPush{Windows: windows, Keep: float32(1 - float64(n.momentum)), Momentum: n.momentum, Eps: n.eps, Unbias: float32(unbias)},
		shaders.BatchNormForwardBuffers[arg]{X: l.read(n.x), Mean: mean, Var: variance, Gamma: l.read(n.gamma), Beta: l.read(n.beta), Y: l.write(n.y),
			Index: index, InvStd: invStd, RunningMean: runningMean, RunningVar: runningVar}))
}

func (l *lowering) batchNormForward(op kernels.BatchNormForward) {
	var variance span
	if op.Var.Absent() {
		variance = l.partials(op.Mean.Len())
		l.statistics(op.X, l.write(op.Mean), arg{variance, kernels.Write})
	} else {
		variance = l.tensor(op.Var)
	}
	l.normalize(normalization{x: op.X, gamma: op.Gamma, beta: op.Beta, y: op.Y, invStd: op.InvStd,
		runningMean: op.RunningMean, runningVar: op.RunningVar, window: 1, momentum: op.Momentum, eps: op.Eps},
		l.read(op.Mean), arg{variance, kernels.Read})
}

// statistics appends mean and biased variance of x's columns.
func (l *lowering) statistics(x kernels.Tensor, mean, variance arg) {
	c := l.planColumns(x.Matrix())
	partials := l.partials(2 * c.chunks * c.cols)
	l.reduce(c, shaders.BatchNormStatistics(shaders.BatchNormStatisticsSpec{Columns: c.width},
		shaders.BatchNormStatisticsPush{Rows: c.rows, Cols: c.cols, ChunkRows: c.chunkRows},
		shaders.BatchNormStatisticsBuffers[arg]{X: l.read(x), Partials: arg{partials, kernels.Write}}))
	l.combine(c, partials, mean, variance)
}

// combine appends the statistics of all rows from those of c's chunks.
func (l *lowering) combine(c columns, partials span, mean, variance arg) {
	s := l.single(c.chunks, c.cols)
	l.reduce(s, shaders.BatchNormCombine(shaders.BatchNormCombineSpec{Columns: s.width},
		shaders.BatchNormCombinePush{Rows: c.rows, Cols: c.cols, ChunkRows: c.chunkRows, Chunks: c.chunks},
		shaders.BatchNormCombineBuffers[arg]{Partials: arg{partials, kernels.Read}, Mean: mean, Var: variance}))
}

func (l *lowering) batchNormInference(op kernels.BatchNormInference) {
	l.normalize(normalization{x: op.X, gamma: op.Gamma, beta: op.Beta, y: op.Y, window: 1, eps: op.Eps},
		l.read(op.RunningMean), l.read(op.RunningVar))
}

func (l *lowering) batchNormBackward(op kernels.BatchNormBackward) {
	l.normalizeBackward(kernels.BatchNormReLUPoolBackward{X: op.X, Y: op.DY, DY: op.DY, Gamma: op.Gamma, Mean: op.Mean,
		InvStd: op.InvStd, DX: op.DX, DGamma: op.DGamma, DBeta: op.DBeta, Size: 1}, false)
}

// normalizeBackward lowers the gradient of batch-norm, with pooling where
// op.Size is above 1 and with that of ReLU on request.
func (l *lowering) normalizeBackward(op kernels.BatchNormReLUPoolBackward, relu bool) {
	h, w, _ := planes(op.X)
	c := l.planColumns(op.DY.Matrix())
	// One chunk's sums are the result, several go to scratch.
	dbeta, dgamma := l.write(op.DBeta), l.write(op.DGamma)
	partsBeta, partsGamma, counters := dbeta, dgamma, arg{}
	if c.chunks > 1 {
		partsBeta = arg{l.partials(c.chunks * c.cols), kernels.Write}
		partsGamma = arg{l.partials(c.chunks * c.cols), kernels.Write}
	}
	sumChunks := c.chunks > 1 && l.lastGroup
	if sumChunks {
		counters = l.counters(ceilDiv(c.cols, c.width))
	}
	l.reduce(c, shaders.BatchNormBackwardSums(
		shaders.BatchNormBackwardSumsSpec{Columns: c.width, H: h, W: w, Size: op.Size, WithReLU: relu, SumChunks: sumChunks},
		shaders.BatchNormBackwardSumsPush{Rows: c.rows, Cols: c.cols, ChunkRows: c.chunkRows, Chunks: c.chunks},
		shaders.BatchNormBackwardSumsBuffers[arg]{X: l.read(op.X), Y: l.read(op.Y), DY: l.read(op.DY), Index: l.readIf(op.Index),
			Mean: l.read(op.Mean), InvStd: l.read(op.InvStd), PartsBeta: partsBeta, PartsGamma: partsGamma, Counters: counters,
			DBeta: dbeta, DGamma: dgamma}))
	if c.chunks > 1 && !l.lastGroup {
		l.sumChunks(c, partsBeta.span, dbeta)
		l.sumChunks(c, partsGamma.span, dgamma)
	}
	l.normalizeBackwardInput(op, relu)
}

// normalizeBackwardInput appends the last pass of that: DX, from the sums.
func (l *lowering) normalizeBackwardInput(op kernels.BatchNormReLUPoolBackward, relu bool) {
	h, w, channels := planes(op.X)
	pixels, _ := op.X.Matrix()
	l.each(pixels*ceilDiv(channels, 4), shaders.BatchNormBackwardInput(
		shaders.BatchNormBackwardInputSpec{H: h, W: w, C: channels, Size: op.Size, WithReLU: relu},
		shaders.BatchNormBackwardInputPush{Pixels: pixels},
		shaders.BatchNormBackwardInputBuffers[arg]{X: l.read(op.X), Y: l.read(op.Y), DY: l.read(op.DY), Index: l.readIf(op.Index),
			Gamma: l.read(op.Gamma), Mean: l.read(op.Mean), InvStd: l.read(op.InvStd), DGamma: l.read(op.DGamma), DBeta: l.read(op.DBeta),
			DX: l.write(op.DX)}))
}

// gradientSums is what a product's shader needs to take the sums of a
// batch-norm's gradient beside its result.
type gradientSums struct {
	op       kernels.BatchNormReLUPoolBackward
	spec     shaders.MatrixGradientSumsSpec
	buffers  shaders.MatrixGradientSumsBuffers[arg]
	counters int
}

// gradientSumsOf returns the sums that the product p takes along: those of the
// gradient of a batch-norm that joins it, none for other ops.
func (l *lowering) gradientSumsOf(p product, joined kernels.Op) gradientSums {
	op, wanted := joined.(kernels.BatchNormReLUPoolBackward)
	if !wanted {
		return gradientSums{spec: shaders.MatrixGradientSumsSpec{GradientSums: false, BNH: 1, BNW: 1, BNC: 4, BNSize: 1}}
	}
	h, w, channels := planes(op.X)
	chunks := ceilDiv(p.m, p.bm) * (p.n / channels)
	return gradientSums{op: op, counters: p.combineCounters(chunks, ceilDiv(channels, p.bn)),
		spec: shaders.MatrixGradientSumsSpec{GradientSums: true, BNH: h, BNW: w, BNC: channels, BNSize: op.Size},
		buffers: shaders.MatrixGradientSumsBuffers[arg]{NormX: l.read(op.X), NormY: l.read(op.Y), NormIndex: l.readIf(op.Index),
			NormMean: l.read(op.Mean), NormInvStd: l.read(op.InvStd), NormParts: arg{l.partials(2 * chunks * channels), kernels.Write},
			DBeta: l.write(op.DBeta), DGamma: l.write(op.DGamma)}}
}

// finish appends the rest of that op, if the product took its sums along.
func (l *lowering) finish(s gradientSums) {
	if s.spec.GradientSums {
		l.op++
		l.normalizeBackwardInput(s.op, true)
	}
}

// planes returns the extents of x as planes of pixels: those of (N, H, W, C),
// or single pixels of C channels.
func planes(x kernels.Tensor) (h, w, c int) {
	if len(x.Shape) == 4 {
		return x.Shape[1], x.Shape[2], x.Shape[3]
	}
	return 1, 1, x.Dim(-1)
}
