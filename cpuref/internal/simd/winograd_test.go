package simd

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// The transforms of every tier match the portable ones, for channels around the
// vectors and odd distances, and write nothing else.
func TestWinogradTransforms(t *testing.T) {
	eachTier(t, func(t *testing.T, k *Kernels) {
		r := rand.New(rand.NewPCG(11, 12))
		for _, c := range []int{1, 4, 7, 8, 12, 16, 17, 24, 32, 48} {
			for tiles := 1; tiles < 4; tiles++ {
				compareWinograd(t, k, r, c, tiles)
			}
		}
	})
}

func compareWinograd(t *testing.T, k *Kernels, r *rand.Rand, c, tiles int) {
	t.Helper()
	what := fmt.Sprintf("%d tiles of %d channels", tiles, c)
	distance, row := tiles*c+r.IntN(5), (2*tiles+2)*c+r.IntN(5)
	points, ldy, ldm := 16*distance, c+r.IntN(5), c
	compare(t, "WinogradInput, "+what, r, []int{points, 4 * row}, func(k *Kernels, v [][]float32) {
		k.WinogradInput(v[0], v[1], tiles, c, row, distance)
	}, k)
	compare(t, "WinogradOutput, "+what, r, []int{2 * tiles * ldy, 2 * tiles * ldy, points, c}, func(k *Kernels, v [][]float32) {
		k.WinogradOutput(v[0], v[1], v[2], v[3], tiles, c, ldy, ldm, distance)
	}, k)
	compare(t, "WinogradGradient, "+what, r, []int{points, 2 * (2*tiles*ldy + 3)}, func(k *Kernels, v [][]float32) {
		k.WinogradGradient(v[0], v[1], tiles, c, ldy, 2*tiles*ldy+3, distance)
	}, k)
	n, taps := tiles*c, tiles*c+r.IntN(5)
	compare(t, "WinogradFilter, "+what, r, []int{points, 9 * taps}, func(k *Kernels, v [][]float32) {
		k.WinogradFilter(v[0], v[1], n, distance, taps)
	}, k)
	compare(t, "WinogradWeight, "+what, r, []int{9 * taps, points}, func(k *Kernels, v [][]float32) {
		k.WinogradWeight(v[0], v[1], n, taps, distance)
	}, k)
}

// The transforms around a product per point are a 3×3 correlation of 4×4 pixels.
func TestWinogradIsACorrelation(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 14))
	x, w := values(r, 16), values(r, 9)
	u, v, y0, y1 := make([]float32, 16), make([]float32, 16), make([]float32, 2), make([]float32, 2)
	winogradFilterGeneric(u, w, 1, 1, 1)
	winogradInputGeneric(v, x, 1, 1, 4, 1)
	for i := range v {
		v[i] *= u[i]
	}
	winogradOutputGeneric(y0, y1, v, []float32{.5}, 1, 1, 1, 1, 1)
	for i, got := range append(y0, y1...) {
		want := .5
		for tap := range 9 {
			want += float64(w[tap]) * float64(x[(i/2+tap/3)*4+i%2+tap%3])
		}
		if !isClose(float64(got), want, 20, 16) {
			t.Errorf("element %d is %v, want %v", i, got, want)
		}
	}
}

// WinogradGradient and WinogradWeight are the adjoints of WinogradOutput and
// WinogradFilter: ⟨A·dy·Aᵀ, m⟩ = ⟨dy, Aᵀ·m·A⟩ and ⟨Gᵀ·m·G, g⟩ = ⟨m, G·g·Gᵀ⟩.
func TestWinogradAdjoints(t *testing.T) {
	r := rand.New(rand.NewPCG(15, 16))
	dy, m, w := values(r, 4), values(r, 16), values(r, 9)
	points, y := make([]float32, 16), make([]float32, 4)
	winogradGradientGeneric(points, dy, 1, 1, 1, 2, 1)
	winogradOutputGeneric(y, y[2:], m, []float32{0}, 1, 1, 1, 1, 1)
	if got, want := dot(points, m), dot(dy, y); !isClose(got, want, 100, 16) {
		t.Errorf("WinogradGradient: the products are %v and %v", got, want)
	}
	dw := make([]float32, 9)
	winogradWeightGeneric(dw, m, 1, 1, 1)
	winogradFilterGeneric(points, w, 1, 1, 1)
	if got, want := dot(dw, w), dot(m, points); !isClose(got, want, 100, 16) {
		t.Errorf("WinogradWeight: the products are %v and %v", got, want)
	}
}

func dot(x, y []float32) (sum float64) {
	for i, v := range x {
		sum += float64(v) * float64(y[i])
	}
	return sum
}
