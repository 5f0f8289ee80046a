package kerneltest

import "math/rand/v2"

// fill gives element i of an input.
type fill = func(r *rand.Rand, i int) float32

// mixed gives mostly normal values, some zeros, and some that are a thousand
// times larger or smaller.
func mixed(r *rand.Rand, _ int) float32 {
	switch r.IntN(16) {
	case 0:
		return 0
	case 1:
		return float32(r.NormFloat64() * 1000)
	case 2:
		return float32(r.NormFloat64() / 1000)
	}
	return float32(r.NormFloat64())
}

// integers gives −3 … 3. Sums of fewer than 2²⁴/9 products of them are exact
// in float32.
func integers(r *rand.Rand, _ int) float32 { return float32(r.IntN(7) - 3) }

// uniform gives values in [lo, hi).
func uniform(lo, hi float64) fill {
	return func(r *rand.Rand, _ int) float32 { return float32(lo + (hi-lo)*r.Float64()) }
}

// normal gives a normal distribution.
func normal(mean, std float64) fill {
	return func(r *rand.Rand, _ int) float32 { return float32(mean + std*r.NormFloat64()) }
}
