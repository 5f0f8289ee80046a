package oracle

import (
	"gonum.org/v1/gonum/floats"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// gemm computes each element of C = op(A)·op(B) separately, as the dot product of
// a row of op(A) and a column of op(B).
func gemm(m *memory, op kernels.GEMM) {
	rows, cols, depth := op.MNK()
	a, b := m.factors(op.A, op.Precision), m.factors(op.B, op.Precision)
	if op.TransA {
		a = transposed(a, depth, rows)
	}
	if !op.TransB {
		b = transposed(b, depth, cols)
	}
	bias, c := m.floats(op.Bias), m.floats(op.C)
	parallel(rows, func(i int) {
		for j := range cols {
			sum := floats.Dot(a[i*depth:(i+1)*depth], b[j*depth:(j+1)*depth])
			if bias != nil {
				sum += float64(bias[j])
			}
			if op.Accumulate {
				sum += float64(c[i*cols+j])
			}
			c[i*cols+j] = float32(sum)
		}
	})
	if !op.RowSums.Absent() {
		columnSum(m, kernels.ColumnSum{X: op.A, Y: op.RowSums})
	}
}

// transposed returns the transpose of a row-major matrix of the given extents.
func transposed(a []float64, rows, cols int) []float64 {
	t := make([]float64, len(a))
	for r := range rows {
		for c := range cols {
			t[c*rows+r] = a[r*cols+c]
		}
	}
	return t
}
