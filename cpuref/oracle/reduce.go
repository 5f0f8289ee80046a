package oracle

import "github.com/fmnist-gpu/fmnist-gpu/kernels"

func columnSum(m *memory, op kernels.ColumnSum) {
	x, y := m.floats(op.X), m.floats(op.Y)
	rows, cols := op.X.Matrix()
	for c := range cols {
		sum := 0.0
		for r := range rows {
			sum += float64(x[r*cols+c])
		}
		y[c] = float32(sum)
	}
}

func fill(m *memory, op kernels.Fill) {
	x := m.floats(op.X)
	for i := range x {
		x[i] = op.Value
	}
}
