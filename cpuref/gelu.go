package cpuref

import (
	"math"

	"github.com/fmnist-gpu/fmnist-gpu/cpuref/internal/simd"
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// normalCDF returns Φ(x), and exp(−x²/2) on the way. The error function is
// formula 7.1.26 of Abramowitz & Stegun, "Handbook of Mathematical Functions"
// (1964), whose absolute error is at most 1.5e-7, two roundings of a float32
// near 1; shaders/include/gelu.glsl uses the same.
func normalCDF(x float32) (cdf, exp float32) {
	negative := math.Float32bits(x) & signBit
	z := math.Float32frombits(math.Float32bits(x)^negative) / math.Sqrt2
	exp = simd.Exp(-z * z)
	t := 1 / (1 + 0.3275911*z)
	tail := t * (0.254829592 + t*(-0.284496736+t*(1.421413741+t*(-1.453152027+t*1.061405429)))) * exp / 2
	// tail below 0, else 1 − tail; a branch here would be mispredicted half the time.
	one := math.Float32frombits(math.Float32bits(1) &^ uint32(int32(negative)>>31))
	return one + math.Float32frombits(math.Float32bits(tail)^negative^signBit), exp
}

const signBit = 1 << 31 // of a float32

func (p *program) geluForward(op kernels.GELUForward) func() error {
	x, y := p.floats(op.X), p.floats(op.Y)
	return p.elementwise(len(x), func(from, to int) {
		for i := from; i < to; i++ {
			cdf, _ := normalCDF(x[i])
			y[i] = x[i] * cdf
		}
	})
}

func (p *program) geluBackward(op kernels.GELUBackward) func() error {
	x, dy, dx := p.floats(op.X), p.floats(op.DY), p.floats(op.DX)
	perRootTwoPi := float32(1 / math.Sqrt(2*math.Pi))
	return p.elementwise(len(x), func(from, to int) {
		for i := from; i < to; i++ {
			cdf, exp := normalCDF(x[i])
			dx[i] = dy[i] * (cdf + x[i]*exp*perRootTwoPi)
		}
	})
}
