//go:build cgo

package vulkan

import "github.com/fmnist-gpu/fmnist-gpu/kernels"

func (l *lowering) batchNormForward(op kernels.BatchNormForward) {
	rows, cols := op.X.Matrix()
	c := l.planColumns(rows, cols)
	partials := l.partials(2 * c.chunks * cols)
	l.reduceColumns("batchnorm_statistics", c, c.push(), l.read(op.X), arg{partials, kernels.Write})

	unbias := 1.0
	if rows > 1 {
		unbias = float64(rows) / float64(rows-1)
	}
	keep := float32(1 - float64(op.Momentum))
	l.reduceColumns("batchnorm_combine", l.single(c.chunks, cols),
		pushed(rows, cols, c.chunkRows, c.chunks, keep, op.Momentum, op.Eps, float32(unbias)),
		arg{partials, kernels.Read}, l.update(op.RunningMean), l.update(op.RunningVar), l.write(op.Mean), l.write(op.InvStd))

	l.each("batchnorm_normalize", ceilDiv(rows*cols, 4), constants(cols, false), pushed(rows*cols, op.Eps),
		l.read(op.X), l.read(op.Mean), l.read(op.InvStd), l.read(op.Gamma), l.read(op.Beta), l.write(op.Y))
}

func (l *lowering) batchNormInference(op kernels.BatchNormInference) {
	rows, cols := op.X.Matrix()
	l.each("batchnorm_normalize", ceilDiv(rows*cols, 4), constants(cols, true), pushed(rows*cols, op.Eps),
		l.read(op.X), l.read(op.RunningMean), l.read(op.RunningVar), l.read(op.Gamma), l.read(op.Beta), l.write(op.Y))
}

func (l *lowering) batchNormBackward(op kernels.BatchNormBackward) {
	rows, cols := op.X.Matrix()
	c := l.planColumns(rows, cols)
	dbeta, dgamma := l.write(op.DBeta), l.write(op.DGamma)
	if c.chunks > 1 {
		dbeta = arg{l.partials(c.chunks * cols), kernels.Write}
		dgamma = arg{l.partials(c.chunks * cols), kernels.Write}
	}
	l.reduceColumns("batchnorm_backward_sums", c, c.push(),
		l.read(op.X), l.read(op.DY), l.read(op.Mean), l.read(op.InvStd), dbeta, dgamma)
	if c.chunks > 1 {
		l.sumChunks(c, dbeta.span, l.write(op.DBeta))
		l.sumChunks(c, dgamma.span, l.write(op.DGamma))
	}
	l.each("batchnorm_backward_input", ceilDiv(rows*cols, 4), constants(cols), pushed(rows*cols, float32(rows)),
		l.read(op.X), l.read(op.DY), l.read(op.Gamma), l.read(op.Mean), l.read(op.InvStd),
		l.read(op.DGamma), l.read(op.DBeta), l.write(op.DX))
}
