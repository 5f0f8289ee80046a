package oracle

import (
	"fmt"
	"math"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// maxPoolForward searches each window row by row and keeps the first
// maximum; a NaN counts as larger than any number.
func maxPoolForward(m *memory, op kernels.MaxPoolForward) {
	x, y, index := m.floats(op.X), m.floats(op.Y), m.words(op.Index)
	g := newPoolGeometry(op.X, op.Y, op.Size, op.Stride)
	for out := range y {
		best := 0
		for k := range op.Size * op.Size {
			v, b := x[g.input(out, k)], x[g.input(out, best)]
			if v > b || (isNaN(v) && !isNaN(b)) {
				best = k
			}
		}
		y[out] = x[g.input(out, best)]
		if index != nil {
			index[out] = uint32(best)
		}
	}
}

func isNaN(v float32) bool { return math.IsNaN(float64(v)) }

// maxPoolBackward adds each window's gradient to the element that its maximum
// came from, according to Index.
func maxPoolBackward(m *memory, op kernels.MaxPoolBackward) error {
	dy, index, dx := m.floats(op.DY), m.words(op.Index), m.floats(op.DX)
	g := newPoolGeometry(op.DX, op.DY, op.Size, op.Stride)
	sum := make([]float64, len(dx))
	for out := range dy {
		if index[out] >= uint32(op.Size*op.Size) {
			return fmt.Errorf("position %d in Index is outside a window of %d×%d", index[out], op.Size, op.Size)
		}
		sum[g.input(out, int(index[out]))] += float64(dy[out])
	}
	round(dx, sum)
	return nil
}

// poolGeometry holds the extents of a pooling.
type poolGeometry struct {
	h, w, c      int // X (N, H, W, C)
	oh, ow       int // Y (N, OH, OW, C)
	size, stride int
}

func newPoolGeometry(x, y kernels.Tensor, size, stride int) poolGeometry {
	return poolGeometry{h: x.Shape[1], w: x.Shape[2], c: x.Shape[3], oh: y.Shape[1], ow: y.Shape[2], size: size, stride: stride}
}

// input returns the position in X of element k (kh·Size + kw) of the window
// of the output at position out of Y.
func (g *poolGeometry) input(out, k int) int {
	c := out % g.c
	ow := out / g.c % g.ow
	oh := out / g.c / g.ow % g.oh
	n := out / g.c / g.ow / g.oh
	h, w := oh*g.stride+k/g.size, ow*g.stride+k%g.size
	return ((n*g.h+h)*g.w+w)*g.c + c
}
