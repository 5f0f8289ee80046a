package simd

import "math"

const signBit = 1 << 31 // of a float32

// expNegative returns eˣ for x ≤ 0 with a relative error of a few units of 2⁻²⁴, 0
// where the result is below the normal numbers, and NaN for NaN. It
// is written for loops over many numbers: x = n·ln 2 + r, and eʳ by its Taylor
// series to r⁷, whose remainder at |r| ≤ ln 2 / 2 is below 6e-9.
func expNegative(x float32) float32 {
	const (
		round   = 3 << 22 // adding it rounds to a whole number, which is then in the lowest bits
		ln2High = 0.693145751953125
		ln2Low  = math.Ln2 - ln2High
	)
	if x < -87 {
		return 0
	}
	shifted := x*math.Log2E + round
	n := shifted - round
	r := x - n*ln2High - n*ln2Low
	e := 1 + r*(1+r*(1./2+r*(1./6+r*(1./24+r*(1./120+r*(1./720+r*(1./5040)))))))
	return math.Float32frombits(math.Float32bits(e) + (math.Float32bits(shifted)-math.Float32bits(round))<<23)
}

// normalCDF returns Φ(x), and exp(−x²/2) on the way. The error function is
// formula 7.1.26 of Abramowitz & Stegun, "Handbook of Mathematical Functions"
// (1964), whose absolute error is at most 1.5e-7, two roundings of a float32
// near 1; shaders/include/gelu.glsl uses the same.
func normalCDF(x float32) (cdf, exp float32) {
	negative := math.Float32bits(x) & signBit
	z := math.Float32frombits(math.Float32bits(x)^negative) / math.Sqrt2
	exp = expNegative(-z * z)
	t := 1 / (1 + 0.3275911*z)
	tail := t * (0.254829592 + t*(-0.284496736+t*(1.421413741+t*(-1.453152027+t*1.061405429)))) * exp / 2
	// tail below 0, else 1 − tail; a branch here would be mispredicted half the time.
	one := math.Float32frombits(math.Float32bits(1) &^ uint32(int32(negative)>>31))
	return one + math.Float32frombits(math.Float32bits(tail)^negative^signBit), exp
}

func geluForwardGeneric(y, x []float32) {
	for i, v := range x {
		cdf, _ := normalCDF(v)
		y[i] = v * cdf
	}
}

func geluBackwardGeneric(dx, x, dy []float32) {
	perRootTwoPi := float32(1 / math.Sqrt(2*math.Pi))
	for i, v := range x {
		cdf, exp := normalCDF(v)
		dx[i] = dy[i] * (cdf + v*exp*perRootTwoPi)
	}
}

// sigmoid returns σ(x) and 1 − σ(x), both from exp(−|x|), which cannot
// overflow, and without a difference of nearly equal numbers.
func sigmoid(x float32) (s, rest float32) {
	e := expNegative(math.Float32frombits(math.Float32bits(x) | signBit))
	d := 1 / (1 + e)
	// The larger is σ(x) unless x < 0; a branch here would be mispredicted half the time.
	large, small := math.Float32bits(d), math.Float32bits(e*d)
	swap := (large ^ small) & uint32(int32(math.Float32bits(x))>>31)
	return math.Float32frombits(large ^ swap), math.Float32frombits(small ^ swap)
}

func siluForwardGeneric(y, x []float32) {
	for i, v := range x {
		s, _ := sigmoid(v)
		y[i] = v * s
	}
}

func siluBackwardGeneric(dx, x, dy []float32) {
	for i, v := range x {
		s, rest := sigmoid(v)
		dx[i] = dy[i] * s * (1 + v*rest)
	}
}
