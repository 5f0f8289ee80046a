package kerneltest

import (
	"math"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// Winograd is implemented by a backend that computes some convolutions by
// Winograd's algorithm F(2×2, 3×3), in tiles that start at even pixels (Lavin &
// Gray, "Fast algorithms for convolutional neural networks", 2016). Their bounds
// come from the sums over a tile.
type Winograd interface {
	// UsesWinograd reports whether the backend computes op in this way.
	UsesWinograd(op kernels.Op) bool
}

// usesWinograd reports whether backend computes op by Winograd's algorithm.
func usesWinograd(backend kernels.Backend, op kernels.Op) bool {
	w, ok := backend.(Winograd)
	return ok && w.UsesWinograd(op)
}

// A tile is Y = Aᵀ·[Σ_c (G·g·Gᵀ) ⊙ (Bᵀ·d·B)]·A. Every step is a sum of products
// with constants that float32 holds exactly, so the error of an output is at most
// n·u·|Aᵀ|·[Σ_c (|G|·|g|·|Gᵀ|) ⊙ (|Bᵀ|·|d|·|B|)]·|A|, where n is the number of
// roundings on the longest way to it (Higham, "Accuracy and stability of numerical
// algorithms", 2002, section 3.1, applied to each step as Barabasz et al., "Error
// analysis and improving the accuracy of Winograd convolution for deep neural
// networks", 2020, do in their theorems 1 and 2, which bound norms). These are the
// matrices' absolute values.
var (
	winogradInput  = [][]float64{{1, 0, 1, 0}, {0, 1, 1, 0}, {0, 1, 1, 0}, {0, 1, 0, 1}} // |Bᵀ|
	winogradFilter = [][]float64{{1, 0, 0}, {.5, .5, .5}, {.5, .5, .5}, {0, 0, 1}}       // |G|
	winogradOutput = [][]float64{{1, 1, 1, 0}, {0, 1, 1, 1}}                             // |Aᵀ|
)

// winogradRoundings is the number of roundings outside the sum of products, along
// both axes: two in a filter, one in an input, two in an output; then the bias, the
// rounding of the reference, and one for products of roundings. Transposed, as
// for the gradient of the weights, there are as many.
const winogradRoundings = 2*(2+1+2) + 3

// sandwich returns m·x·mᵀ.
func sandwich(m [][]float64, x []float64) []float64 {
	rows, n := len(m), len(m[0])
	y := make([]float64, rows*rows)
	for i := range rows {
		for k := range n {
			for l := range n {
				if v := m[i][k] * x[k*n+l]; v != 0 {
					for j := range rows {
						y[i*rows+j] += v * m[j][l]
					}
				}
			}
		}
	}
	return y
}

// transpose returns mᵀ.
func transpose(m [][]float64) [][]float64 {
	t := make([][]float64, len(m[0]))
	for j := range t {
		for i := range m {
			t[j] = append(t[j], m[i][j])
		}
	}
	return t
}

// winogradTiles are images (N, H, W, C) in tiles.
type winogradTiles struct {
	n, h, w, c int
	data       []float64
}

func newWinogradTiles(t kernels.Tensor, data []float64) winogradTiles {
	return winogradTiles{t.Shape[0], t.Shape[1], t.Shape[2], t.Shape[3], data}
}

// each calls f for every tile with its image and first pixel.
func (t *winogradTiles) each(f func(n, top, left int)) {
	for n := range t.n {
		for top := 0; top < t.h; top += 2 {
			for left := 0; left < t.w; left += 2 {
				f(n, top, left)
			}
		}
	}
}

// points returns the points (C, 16) of the magnitudes of the pixels from (top, left)
// on, as many as the matrix has columns. Pixels outside are 0.
func (t *winogradTiles) points(m [][]float64, n, top, left int) [][]float64 {
	size := len(m[0])
	points := make([][]float64, t.c)
	for c := range points {
		pixels := make([]float64, size*size)
		for i := range pixels {
			if h, w := top+i/size, left+i%size; h >= 0 && h < t.h && w >= 0 && w < t.w {
				pixels[i] = math.Abs(t.data[t.at(n, h, w)+c])
			}
		}
		points[c] = sandwich(m, pixels)
	}
	return points
}

// at returns the position of pixel (h, w) of image n.
func (t *winogradTiles) at(n, h, w int) int { return ((n*t.h+h)*t.w + w) * t.c }

// winogradBound bounds the correlation of images with filters; filter returns tap
// 0 to 8 of the filter from channel c to channel o, and bias may be nil.
func winogradBound(images winogradTiles, out int, filter func(o, tap, c int) float64, bias []float64) []float64 {
	filters := make([][][]float64, out) // (O, C, 16)
	for o := range filters {
		for c := range images.c {
			taps := make([]float64, 9)
			for tap := range taps {
				taps[tap] = math.Abs(filter(o, tap, c))
			}
			filters[o] = append(filters[o], sandwich(winogradFilter, taps))
		}
	}
	result := winogradTiles{images.n, images.h, images.w, out, make([]float64, images.n*images.h*images.w*out)}
	images.each(func(n, top, left int) {
		points := images.points(winogradInput, n, top-1, left-1)
		for o := range out {
			var products [16]float64
			for c, p := range points {
				for i, v := range filters[o][c] {
					products[i] += v * p[i]
				}
			}
			for i, sum := range sandwich(winogradOutput, products[:]) {
				h, w := top+i/2, left+i%2
				if h >= images.h || w >= images.w {
					continue
				}
				if bias != nil {
					sum += math.Abs(bias[o])
				}
				result.data[result.at(n, h, w)+o] = float64(images.c+winogradRoundings)*u*sum + tiny
			}
		}
	})
	return result.data
}

// winogradWeightBound bounds the gradient of the filters; images (C) and gradients
// (O) have the same pixels.
func winogradWeightBound(images, gradients winogradTiles) []float64 {
	products := make([]float64, gradients.c*images.c*16)
	tiles := 0
	images.each(func(n, top, left int) {
		x := images.points(winogradInput, n, top-1, left-1)
		dy := gradients.points(transpose(winogradOutput), n, top, left)
		for o, d := range dy {
			for c, p := range x {
				sums := products[(o*images.c+c)*16:][:16]
				for i := range sums {
					sums[i] += d[i] * p[i]
				}
			}
		}
		tiles++
	})
	bound := make([]float64, gradients.c*9*images.c)
	for o := range gradients.c {
		for c := range images.c {
			for tap, sum := range sandwich(transpose(winogradFilter), products[(o*images.c+c)*16:][:16]) {
				bound[(o*9+tap)*images.c+c] = float64(tiles+winogradRoundings)*u*sum + tiny
			}
		}
	}
	return bound
}

// winogradForward, winogradBackwardInput and winogradBackwardWeight replace an
// op's bound if it was computed by Winograd's algorithm.

func winogradForward(op kernels.ConvForward, direct Bound) Bound {
	return func(r *Results) []float64 {
		if !r.Winograd {
			return direct(r)
		}
		w, i := r.In["W"], op.W.Dim(-1)
		return winogradBound(newWinogradTiles(op.X, r.In["X"]), op.W.Dim(0),
			func(o, tap, c int) float64 { return w[(o*9+tap)*i+c] }, r.In["Bias"])
	}
}

func winogradBackwardInput(op kernels.ConvBackwardInput, direct Bound) Bound {
	return func(r *Results) []float64 {
		if !r.Winograd {
			return direct(r)
		}
		w, i := r.In["W"], op.W.Dim(-1)
		return winogradBound(newWinogradTiles(op.DY, r.In["DY"]), i,
			func(o, tap, c int) float64 { return w[(c*9+8-tap)*i+o] }, nil)
	}
}

func winogradBackwardWeight(op kernels.ConvBackwardWeight, direct Bound) Bound {
	return func(r *Results) []float64 {
		if !r.Winograd {
			return direct(r)
		}
		return winogradWeightBound(newWinogradTiles(op.X, r.In["X"]), newWinogradTiles(op.DY, r.In["DY"]))
	}
}
