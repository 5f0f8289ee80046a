//go:build cgo

package vulkan

import "github.com/fmnist-gpu/fmnist-gpu/kernels"

func (l *lowering) gemm(op kernels.GEMM) {
	m, n, k := op.MNK()
	p := l.planProduct(m, n, k)
	spec := p.constants(op.TransA, op.TransB, op.A.Dim(-1)%4 == 0, op.B.Dim(-1)%4 == 0)
	push := func(bias, accumulate bool) []byte {
		return pushed(m, n, k, p.splitK, flag(bias), flag(accumulate))
	}
	l.multiply("gemm", p, spec, push, []arg{l.read(op.A), l.read(op.B), l.readOr(op.Bias, op.A)}, op.C, op.Bias, op.Accumulate)
}
