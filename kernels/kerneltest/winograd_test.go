package kerneltest

import (
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// In a 2×2 image and a filter of ones, one tile, the points along one axis are
// |Bᵀ|·(0, 1, 1, 0) = (1, 2, 2, 1) and |G|·(1, 1, 1) = (1, 3/2, 3/2, 1), and
// |Aᵀ|·(1, 3, 3, 1) = (7, 7).
func TestWinogradBounds(t *testing.T) {
	roundings := float64(newWinogradBounds(2, 3).roundings)
	ones := func(n int) []float64 {
		v := make([]float64, n)
		for i := range v {
			v[i] = 1
		}
		return v
	}
	shape := Conv{N: 1, H: 2, W: 2, I: 1, O: 1, KH: 3, KW: 3, Stride: 1, Pad: 1}
	forward := ConvForward{Conv: shape, Bias: true}.Trial().Op.(kernels.ConvForward)
	r := &Results{Winograd: 2, In: map[string][]float64{"X": ones(4), "W": ones(9), "Bias": {-2}}}
	for i, got := range Bounds(forward)["Y"](r) {
		if want := (1+roundings)*u*(7*7+2) + tiny; got != want {
			t.Errorf("Y[%d]: the bound is %v, want %v", i, got, want)
		}
	}
	// |A|·(1, 1) = (1, 2, 2, 1), times (1, 2, 2, 1): |Gᵀ|·(1, 4, 4, 1) = (5, 4, 5).
	weight := ConvBackwardWeight{Conv: shape}.Trial().Op.(kernels.ConvBackwardWeight)
	r = &Results{Winograd: 2, In: map[string][]float64{"X": ones(4), "DY": {1, -1, -1, 1}}}
	axis := []float64{5, 4, 5}
	for i, got := range Bounds(weight)["DW"](r) {
		if want := (1+roundings)*u*axis[i/3]*axis[i%3] + tiny; got != want {
			t.Errorf("DW[%d]: the bound is %v, want %v", i, got, want)
		}
	}
}
