package simd

import "math"

// Exp returns eˣ for x ≤ 0 with a relative error of a few units of 2⁻²⁴, 0
// where the result is below the normal numbers, and NaN for NaN. It
// is written for loops over many numbers: x = n·ln 2 + r, and eʳ by its Taylor
// series to r⁷, whose remainder at |r| ≤ ln 2 / 2 is below 6e-9.
func Exp(x float32) float32 {
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
