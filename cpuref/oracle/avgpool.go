package oracle

import "github.com/fmnist-gpu/fmnist-gpu/kernels"

// avgPoolWindow calls visit with the position in X of every element of the window
// whose output is at position out of Y.
func avgPoolWindow(x, y kernels.Tensor, kh, kw, stride, out int, visit func(in int)) {
	h, w, c := x.Shape[1], x.Shape[2], x.Shape[3]
	oh, ow := y.Shape[1], y.Shape[2]
	ch, col, row, n := out%c, out/c%ow, out/c/ow%oh, out/c/ow/oh
	for i := range kh {
		for j := range kw {
			visit(((n*h+row*stride+i)*w+col*stride+j)*c + ch)
		}
	}
}

func avgPoolForward(m *memory, op kernels.AvgPoolForward) {
	x, y := m.floats(op.X), m.floats(op.Y)
	for out := range y {
		sum := 0.0
		avgPoolWindow(op.X, op.Y, op.KH, op.KW, op.Stride, out, func(in int) { sum += float64(x[in]) })
		y[out] = float32(sum / float64(op.KH*op.KW))
	}
}

func avgPoolBackward(m *memory, op kernels.AvgPoolBackward) {
	dy, dx := m.floats(op.DY), m.floats(op.DX)
	sum := make([]float64, len(dx))
	for out := range dy {
		share := float64(dy[out]) / float64(op.KH*op.KW)
		avgPoolWindow(op.DX, op.DY, op.KH, op.KW, op.Stride, out, func(in int) { sum[in] += share })
	}
	round(dx, sum)
}
