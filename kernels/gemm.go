package kernels

import "fmt"

// GEMM is the general matrix product:
//
//	C = op(A)·op(B)  [+ Bias, added to every row]  [+ C, where Accumulate]
//
// op(A) is (M, K) and op(B) is (K, N); TransA and TransB say which operands are
// stored transposed. A fully connected layer with weight W (out, in) is
// Y = X·Wᵀ + b forward, and DX = DY·W and DW = DYᵀ·X backward.
type GEMM struct {
	A    Tensor // (M, K), or (K, M) with TransA
	B    Tensor // (K, N), or (N, K) with TransB
	Bias Tensor // (N), optional
	C    Tensor // (M, N)
	// RowSums[m] = Σ_k op(A)[m,k], the ColumnSum of A; optional, and only with
	// TransA. If A is DY, it is the gradient of the layer's bias.
	RowSums Tensor // (M)

	TransA, TransB bool
	Accumulate     bool // add to the old contents of C
	Precision      Precision
}

// Kind implements [Op].
func (GEMM) Kind() string { return "GEMM" }

// Operands implements [Op].
func (op GEMM) Operands() []Operand {
	c := out("C", op.C)
	if op.Accumulate {
		c = inout("C", op.C)
	}
	return []Operand{in("A", op.A), in("B", op.B), in("Bias", op.Bias).optional(), c, out("RowSums", op.RowSums).optional()}
}

// MNK returns the extents of op(A) (M, K) and op(B) (K, N).
func (op GEMM) MNK() (m, n, k int) {
	m, k = op.A.Shape[0], op.A.Shape[1]
	if op.TransA {
		m, k = k, m
	}
	n = op.B.Shape[1]
	if op.TransB {
		n = op.B.Shape[0]
	}
	return m, n, k
}

// Check implements [Op].
func (op GEMM) Check() error {
	if err := first(rank("A", op.A, 2), rank("B", op.B, 2), rank("C", op.C, 2)); err != nil {
		return err
	}
	m, n, k := op.MNK()
	b := []int{k, n}
	if op.TransB {
		b = []int{n, k}
	}
	if !op.RowSums.Absent() && !op.TransA {
		return fmt.Errorf("RowSums %v needs TransA", op.RowSums)
	}
	return first(want("B", op.B, b...), want("C", op.C, m, n), wantIfPresent("Bias", op.Bias, n), wantIfPresent("RowSums", op.RowSums, m))
}

// FLOPs implements [Op].
func (op GEMM) FLOPs() int {
	m, n, k := op.MNK()
	return 2 * m * n * k
}
