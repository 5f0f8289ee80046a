package oracle

import "github.com/fmnist-gpu/fmnist-gpu/kernels"

// gemm adds up each element of C = op(A)·op(B) by itself.
func gemm(m *memory, op kernels.GEMM) {
	a, b := m.factors(op.A, op.Precision), m.factors(op.B, op.Precision)
	bias, c := m.floats(op.Bias), m.floats(op.C)
	rows, cols, depth := op.MNK()
	if !op.RowSums.Absent() {
		columnSum(m, kernels.ColumnSum{X: op.A, Y: op.RowSums})
	}
	// Stored row-major, a step along an axis of op(A) (M, K) or op(B) (K, N)
	// is 1 or the length of a stored row.
	aRow, aDepth := depth, 1
	if op.TransA {
		aRow, aDepth = 1, rows
	}
	bDepth, bCol := cols, 1
	if op.TransB {
		bDepth, bCol = 1, depth
	}
	for i := range rows {
		for j := range cols {
			sum := 0.0
			if bias != nil {
				sum += float64(bias[j])
			}
			if op.Accumulate {
				sum += float64(c[i*cols+j])
			}
			for k := range depth {
				sum += float64(a[i*aRow+k*aDepth]) * float64(b[k*bDepth+j*bCol])
			}
			c[i*cols+j] = float32(sum)
		}
	}
}
