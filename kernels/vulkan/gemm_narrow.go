//go:build cgo

package vulkan

import "github.com/fmnist-gpu/fmnist-gpu/kernels"

// What a narrow product is (shaders/gemm_narrow.comp): at most so many columns,
// and a K that the few threads of a column can walk along.
const (
	narrowColumns = 16
	narrowDepth   = 4096
	narrowRows    = 8 // most rows of a workgroup
)

// narrow reports whether the product has few columns and the form that a fully
// connected layer's has, A·Bᵀ.
func narrow(op kernels.GEMM) bool {
	_, n, k := op.MNK()
	return n <= narrowColumns && k <= narrowDepth && k%4 == 0 &&
		!op.TransA && op.TransB && !op.Accumulate && op.RowSums.Absent()
}

// gemmNarrow lowers a narrow product, with the cross-entropy of its result
// where that is next. It returns how many ops it has taken.
func (l *lowering) gemmNarrow(op kernels.GEMM, rest []kernels.Op) (taken int) {
	m, n, k := op.MNK()
	rows := min(narrowRows, ceilDiv(m, max(1, l.wanted/2)))
	loss, joined := l.lossOf(op, rest)
	c := l.write(op.C)
	// Without a loss, the shader leaves its bindings alone.
	args := []arg{l.read(op.A), l.read(op.B), l.readOr(op.Bias, op.A), c, c, c, c, c, c, c, c, c}
	push, constant := pushed(m, n, 0, 0, 0, 0), constants(rows, false, false, false)
	taken = 1
	if joined {
		operands := l.crossEntropy(loss)
		copy(args[4:], operands.args)
		args[10] = arg{l.partials(2 * m), kernels.Write}
		args[11] = l.counters(1)
		push, constant, taken = operands.push, append(constants(rows, true), operands.constants...), 2
	}
	l.dispatch("gemm_narrow", l.threads, ceilDiv(m, rows), 1, constant,
		append(push, pushed(k/4, flag(!op.Bias.Absent()))...), args...)
	return taken
}

// lossOf returns the op that takes the cross-entropy of the product, if it is
// the next one and can join it.
func (l *lowering) lossOf(op kernels.GEMM, rest []kernels.Op) (loss kernels.SoftmaxCrossEntropy, ok bool) {
	if !l.lastGroup || len(rest) == 0 {
		return loss, false
	}
	loss, ok = rest[0].(kernels.SoftmaxCrossEntropy)
	logits := l.tensor(op.C)
	inPlace := ok && !loss.DLogits.Absent() && l.tensor(loss.DLogits).overlaps(logits)
	return loss, ok && l.tensor(loss.Logits) == logits && !inPlace
}
