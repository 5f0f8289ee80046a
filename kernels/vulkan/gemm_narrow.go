//go:build cgo

package vulkan

import "github.com/fmnist-gpu/fmnist-gpu/kernels"

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
	c := l.write(op.C)
	// Without a loss, the shader does not access its bindings.
	args := []arg{l.read(op.A), l.read(op.B), l.readOr(op.Bias, op.A), c, c, c, c, c, c, c, c, c}
	push, constant := pushed(m, n, 0, 0, 0, 0), constants(rows, false, false, false)
	if loss, ok := joined.(kernels.SoftmaxCrossEntropy); ok {
		operands := l.crossEntropy(loss)
		copy(args[4:], operands.args)
		args[10] = arg{l.partials(2 * m), kernels.Write}
		args[11] = l.counters(1)
		push, constant = operands.push, append(constants(rows, true), operands.constants...)
	}
	l.dispatch("gemm_narrow", l.threads, ceilDiv(m, rows), 1, constant,
		append(push, pushed(k/4, flag(!op.Bias.Absent()))...), args...)
}
