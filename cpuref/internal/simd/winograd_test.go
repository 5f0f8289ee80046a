package simd

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// winograds returns the tier's transforms.
func (k *Kernels) winograds() []*Winograd {
	return []*Winograd{&k.Winograd2x3, &k.Winograd4x3, &k.Winograd2x5, &k.Winograd4x5}
}

// The transforms of every tier match the portable ones, for channels around the
// vectors and odd distances, and write nothing else.
func TestWinogradTransforms(t *testing.T) {
	eachTier(t, func(t *testing.T, k *Kernels) {
		r := rand.New(rand.NewPCG(11, 12))
		for i := range k.winograds() {
			for _, c := range []int{1, 4, 7, 8, 12, 16, 17, 24, 32, 48} {
				for tiles := 1; tiles < 4; tiles++ {
					compareWinograd(t, k, r, i, c, tiles)
				}
			}
		}
	})
}

func compareWinograd(t *testing.T, k *Kernels, r *rand.Rand, i, c, tiles int) {
	t.Helper()
	w := k.winograds()[i]
	what := fmt.Sprintf("F(%d, %d), %d tiles of %d channels", w.Outputs, w.Taps, tiles, c)
	width := tiles*w.Outputs + w.Taps - 1 // pixels
	distance, row := tiles*c+r.IntN(5), width*c+r.IntN(5)
	points, ldy, ldm := w.Points()*distance, c+r.IntN(5), c
	compare(t, "Input, "+what, r, []int{points, w.Extent() * row}, func(k *Kernels, v [][]float32) {
		k.winograds()[i].Input(v[0], v[1], tiles, c, row, distance)
	}, k)
	rowY := tiles*w.Outputs*ldy + 3
	rows, cols := 1+r.IntN(w.Outputs), 1+r.IntN(w.Outputs)
	compare(t, fmt.Sprintf("Output, %s, %d×%d", what, rows, cols), r, []int{w.Outputs * rowY, points, c}, func(k *Kernels, v [][]float32) {
		k.winograds()[i].Output(v[0], v[1], v[2], tiles, c, ldy, rowY, ldm, distance, rows, cols)
	}, k)
	if c <= WinogradConstants {
		constants := (WinogradLeast + 1) * WinogradConstants
		compare(t, fmt.Sprintf("Normalize, %s, %d×%d", what, rows, cols), r, []int{w.Outputs * rowY, points, constants}, func(k *Kernels, v [][]float32) {
			k.winograds()[i].Normalize(v[0], v[1], v[2], tiles, c, ldy, rowY, ldm, distance, rows, cols)
		}, k)
		rows, cols := 1+r.IntN(w.Outputs/2), 1+r.IntN(w.Outputs/2)
		compare(t, fmt.Sprintf("Pool, %s, %d×%d windows", what, rows, cols), r, []int{w.Outputs * rowY, points, constants}, func(k *Kernels, v [][]float32) {
			k.winograds()[i].Pool(v[0], v[1], v[2], tiles, c, ldy, rowY, ldm, distance, rows, cols)
		}, k)
	}
	compare(t, "Gradient, "+what, r, []int{points, w.Outputs * rowY}, func(k *Kernels, v [][]float32) {
		k.winograds()[i].Gradient(v[0], v[1], tiles, c, ldy, rowY, distance)
	}, k)
	n, taps := tiles*c, tiles*c+r.IntN(5)
	compare(t, "Filter, "+what, r, []int{points, w.Taps * w.Taps * taps}, func(k *Kernels, v [][]float32) {
		k.winograds()[i].Filter(v[0], v[1], n, distance, taps)
	}, k)
	compare(t, "Weight, "+what, r, []int{w.Taps * w.Taps * taps, points}, func(k *Kernels, v [][]float32) {
		k.winograds()[i].Weight(v[0], v[1], n, taps, distance)
	}, k)
}

// The transforms around a product per point are a correlation.
func TestWinogradIsACorrelation(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 14))
	for _, f := range generic.winograds() {
		n, m, taps := f.Extent(), f.Outputs, f.Taps
		x, w := values(r, n*n), values(r, taps*taps)
		u, v, y := make([]float32, n*n), make([]float32, n*n), make([]float32, m*m)
		f.Filter(u, w, 1, 1, 1)
		f.Input(v, x, 1, 1, n, 1)
		for i := range v {
			v[i] *= u[i]
		}
		f.Output(y, v, []float32{.5}, 1, 1, 1, m, 1, 1, m, m)
		for i, got := range y {
			want := .5
			for tap := range taps * taps {
				want += float64(w[tap]) * float64(x[(i/m+tap/taps)*n+i%m+tap%taps])
			}
			if !isClose(float64(got), want, 20, 16) {
				t.Errorf("F(%d, %d): element %d is %v, want %v", m, taps, i, got, want)
			}
		}
	}
}

// Gradient and Weight are the adjoints of Output and Filter:
// ⟨A·dy·Aᵀ, m⟩ = ⟨dy, Aᵀ·m·A⟩ and ⟨Gᵀ·m·G, g⟩ = ⟨m, G·g·Gᵀ⟩.
func TestWinogradAdjoints(t *testing.T) {
	r := rand.New(rand.NewPCG(15, 16))
	for _, f := range generic.winograds() {
		n, outputs := f.Points(), f.Outputs
		dy, m, w := values(r, outputs*outputs), values(r, n), values(r, f.Taps*f.Taps)
		points, y := make([]float32, n), make([]float32, len(dy))
		f.Gradient(points, dy, 1, 1, 1, outputs, 1)
		f.Output(y, m, []float32{0}, 1, 1, 1, outputs, 1, 1, outputs, outputs)
		if got, want := dot(points, m), dot(dy, y); !isClose(got, want, 100, 16) {
			t.Errorf("F(%d, %d), Gradient: the products are %v and %v", outputs, f.Taps, got, want)
		}
		dw := make([]float32, len(w))
		f.Weight(dw, m, 1, 1, 1)
		f.Filter(points, w, 1, 1, 1)
		if got, want := dot(dw, w), dot(m, points); !isClose(got, want, 100, 16) {
			t.Errorf("F(%d, %d), Weight: the products are %v and %v", outputs, f.Taps, got, want)
		}
	}
}

func dot(x, y []float32) (sum float64) {
	for i, v := range x {
		sum += float64(v) * float64(y[i])
	}
	return sum
}
