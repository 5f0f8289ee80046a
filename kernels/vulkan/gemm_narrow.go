//go:build cgo

package vulkan

import (
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/shaders"
)

// Limits of a narrow product (shaders/gemm_narrow.comp): few columns, and a K
// short enough for the few threads of a column.
const (
	narrowColumns = 16
	narrowDepth   = 4096
	narrowRows    = 8 // most rows per workgroup
)

// narrow reports whether the product has few columns and the form A·Bᵀ of a
// fully connected layer.
func narrow(op kernels.GEMM) bool {
	_, n, k := op.MNK()
	return n <= narrowColumns && k <= narrowDepth && k%4 == 0 &&
		!op.TransA && op.TransB && !op.Accumulate && op.RowSums.Absent()
}

// gemmNarrow lowers a narrow product, with the cross-entropy of its result if
// that joins it.
func (l *lowering) gemmNarrow(op kernels.GEMM, joined kernels.Op) {
	m, n, k := op.MNK()
	rows := min(narrowRows, ceilDiv(m, max(1, l.wanted/2)))
	// Without a loss, the shader uses none of what is the loss's.
	var none arg
	spec := shaders.GEMMNarrowSpec{Rows: rows, WithLoss: false, WithDLogits: false, WithProbs: false, WithSampleLosses: false, Mixed: mixed(op)}
	push := shaders.GEMMNarrowPush{Samples: m, Classes: n, Slots: 0, ProbRows: 0, SampleRows: 0, On: 0, Off: 0,
		Quads: k / 4, WithBias: flag(!op.Bias.Absent())}
	buffers := shaders.GEMMNarrowBuffers[arg]{A: l.read(op.A), B: l.read(op.B), Bias: l.readIf(op.Bias), C: l.write(op.C),
		Labels: none, State: none, Loss: none, Correct: none, DLogits: none, Probs: none, SampleLosses: none, Losses: none, Counters: none}
	if loss, ok := joined.(kernels.SoftmaxCrossEntropy); ok {
		s, p, b := lossSpec(loss), lossPush(loss), l.lossBuffers(loss)
		spec.WithLoss, spec.WithDLogits, spec.WithProbs, spec.WithSampleLosses = true, s.WithDLogits, s.WithProbs, s.WithSampleLosses
		push.Slots, push.ProbRows, push.SampleRows, push.On, push.Off = p.Slots, p.ProbRows, p.SampleRows, p.On, p.Off
		buffers.Labels, buffers.State, buffers.Loss, buffers.Correct = b.Labels, b.State, b.Loss, b.Correct
		buffers.DLogits, buffers.Probs, buffers.SampleLosses = b.DLogits, b.Probs, b.SampleLosses
		buffers.Losses, buffers.Counters = arg{l.partials(2 * m), kernels.Write}, l.counters(1)
	}
	l.dispatch(l.threads, ceilDiv(m, rows), 1, shaders.GEMMNarrow(spec, push, buffers))
}
