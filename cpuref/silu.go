package cpuref

import (
	"math"

	"github.com/fmnist-gpu/fmnist-gpu/cpuref/internal/simd"
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// sigmoid returns σ(x) and 1 − σ(x), both from exp(−|x|), which cannot
// overflow, and without a difference of nearly equal numbers.
func sigmoid(x float32) (s, rest float32) {
	e := simd.Exp(math.Float32frombits(math.Float32bits(x) | signBit))
	d := 1 / (1 + e)
	// The larger is σ(x) unless x < 0; a branch here would be mispredicted half the time.
	large, small := math.Float32bits(d), math.Float32bits(e*d)
	swap := (large ^ small) & uint32(int32(math.Float32bits(x))>>31)
	return math.Float32frombits(large ^ swap), math.Float32frombits(small ^ swap)
}

func (p *program) siluForward(op kernels.SiLUForward) func() error {
	x, y := p.floats(op.X), p.floats(op.Y)
	return p.elementwise(len(x), func(from, to int) {
		for i := from; i < to; i++ {
			s, _ := sigmoid(x[i])
			y[i] = x[i] * s
		}
	})
}

func (p *program) siluBackward(op kernels.SiLUBackward) func() error {
	x, dy, dx := p.floats(op.X), p.floats(op.DY), p.floats(op.DX)
	return p.elementwise(len(x), func(from, to int) {
		for i := from; i < to; i++ {
			s, rest := sigmoid(x[i])
			dx[i] = dy[i] * s * (1 + x[i]*rest)
		}
	})
}
