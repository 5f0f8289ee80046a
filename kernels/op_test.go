package kernels

import "testing"

// An operand that is read and written is moved twice, scratch is not moved, and some ops
// know better than their operands.
func TestTraffic(t *testing.T) {
	var p Plan
	f := func(shape ...int) Tensor { return p.Tensor("x", Float32, shape...) }
	for _, c := range []struct {
		op   Op
		want int
	}{
		{ReLUForward{X: f(100), Y: f(100)}, 800},
		{Adam{Param: f(100), Grad: f(100), M: f(100), V: f(100), State: f(8)}, 2800 + 32},
		{Gather{Images: p.Tensor("images", Uint8, 1000, 2, 2, 1), X: f(3, 2, 2, 1), Y: p.Tensor("y", Uint32, 3)}, 12*5 + 3*9},
	} {
		if got := Traffic(c.op); got != c.want {
			t.Errorf("%s: %d bytes, want %d", c.op.Kind(), got, c.want)
		}
	}
}
