package kerneltest

import (
	"math"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// Winograd is implemented by a backend that computes some convolutions by
// Winograd's algorithm F(m×m, r×r), in tiles that start at multiples of m pixels
// (Lavin & Gray, "Fast algorithms for convolutional neural networks", 2016). Their
// bounds come from the sums over a tile.
type Winograd interface {
	// WinogradOutputs returns m if the backend computes op in this way, or else 0.
	WinogradOutputs(op kernels.Op) int
}

// winogradOutputs returns the extent of the tiles by which backend computes op by
// Winograd's algorithm, or 0.
func winogradOutputs(backend kernels.Backend, op kernels.Op) int {
	if w, ok := backend.(Winograd); ok {
		return w.WinogradOutputs(op)
	}
	return 0
}

// winogradRoots are the finite points of an algorithm whose input's tiles have n×n
// pixels, by n; infinity is the last.
var winogradRoots = map[int][]float64{4: {0, 1, -1}, 6: {0, 5. / 8, -5. / 8, 3. / 2, -3. / 2}, 8: {0, 1, -1, 1. / 2, -1. / 2, 2, -2}}

// winogradBounds are the absolute values of the matrices of F(m×m, r×r). A tile is
// Y = Aᵀ·[Σ_c (G·g·Gᵀ) ⊙ (Bᵀ·d·B)]·A. Every step is a sum of products with
// constants, so the error of an output is at most
// n·u·|Aᵀ|·[Σ_c (|G|·|g|·|Gᵀ|) ⊙ (|Bᵀ|·|d|·|B|)]·|A|, where n is the number of
// roundings on the longest way to it (Higham, "Accuracy and stability of numerical
// algorithms", 2002, section 3.1, applied to each step as Barabasz et al., "Error
// analysis and improving the accuracy of Winograd convolution for deep neural
// networks", 2020, do in their theorems 1 and 2, which bound norms).
type winogradBounds struct {
	outputs, taps int
	input         [][]float64 // |Bᵀ|
	filter        [][]float64 // |G|
	output        [][]float64 // |Aᵀ|
	roundings     int         // outside the sum of products
}

// newWinogradBounds returns the matrices of the algorithm of Toom and Cook: at each
// root, the input's polynomial is that of the other roots, whose value there divides
// the filter's powers of the root.
func newWinogradBounds(outputs, taps int) *winogradBounds {
	n := outputs + taps - 1
	roots := winogradRoots[n]
	b := &winogradBounds{outputs: outputs, taps: taps}
	for i, root := range roots {
		others := append(append([]float64{}, roots[:i]...), roots[i+1:]...)
		scale := 1.
		for _, other := range others {
			scale *= math.Abs(root - other)
		}
		b.input = append(b.input, append(magnitudes(others), 0))
		b.filter = append(b.filter, powers(root, taps, scale))
		b.output = append(b.output, powers(root, outputs, 1))
	}
	last := func(n int) []float64 { return append(make([]float64, n-1), 1) }
	b.input = append(b.input, magnitudes(roots))
	b.filter, b.output = append(b.filter, last(taps)), transpose(append(b.output, last(outputs)))

	// Along both axes: each sum has at most as many roundings as terms that are not
	// 0, and the filter's constants are rounded too; if the constants are powers of
	// two, products are exact. Then the bias, the rounding of the reference, and one
	// for products of roundings. Transposed, as for the gradient of the weights,
	// there are as many.
	perAxis := terms(b.filter) + 1 + terms(b.input) + terms(b.output)
	if n == 4 {
		perAxis -= 4
	}
	b.roundings = 2*perAxis + 3
	return b
}

// powers returns the magnitudes of the first n powers of x, divided by scale.
func powers(x float64, n int, scale float64) []float64 {
	p := make([]float64, n)
	for k := range p {
		p[k] = math.Abs(math.Pow(x, float64(k))) / scale
	}
	return p
}

// magnitudes returns those of the coefficients, from that of 1 on, of the product of
// x − root.
func magnitudes(roots []float64) []float64 {
	c := []float64{1}
	for _, root := range roots {
		c = append([]float64{0}, c...)
		for i := range len(c) - 1 {
			c[i] -= root * c[i+1]
		}
	}
	for i := range c {
		c[i] = math.Abs(c[i])
	}
	return c
}

// terms returns the most elements that are not 0 in a row or a column.
func terms(m [][]float64) int {
	most := 0
	for _, row := range append(transpose(m), m...) {
		n := 0
		for _, v := range row {
			if v != 0 {
				n++
			}
		}
		most = max(most, n)
	}
	return most
}

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

// each calls f for every tile of the given extent with its image and first pixel.
func (t *winogradTiles) each(outputs int, f func(n, top, left int)) {
	for n := range t.n {
		for top := 0; top < t.h; top += outputs {
			for left := 0; left < t.w; left += outputs {
				f(n, top, left)
			}
		}
	}
}

// points returns the points (C, n²) of the magnitudes of the pixels from (top, left)
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

// correlation bounds the correlation of images with filters; filter returns a tap of
// the filter from channel c to channel o, and bias may be nil.
func (b *winogradBounds) correlation(images winogradTiles, out int, filter func(o, tap, c int) float64, bias []float64) []float64 {
	filters := make([][][]float64, out) // (O, C, n²)
	for o := range filters {
		for c := range images.c {
			taps := make([]float64, b.taps*b.taps)
			for tap := range taps {
				taps[tap] = math.Abs(filter(o, tap, c))
			}
			filters[o] = append(filters[o], sandwich(b.filter, taps))
		}
	}
	result := winogradTiles{images.n, images.h, images.w, out, make([]float64, images.n*images.h*images.w*out)}
	pad := b.taps / 2
	images.each(b.outputs, func(n, top, left int) {
		points := images.points(b.input, n, top-pad, left-pad)
		for o := range out {
			products := make([]float64, len(b.input)*len(b.input))
			for c, p := range points {
				for i, v := range filters[o][c] {
					products[i] += v * p[i]
				}
			}
			for i, sum := range sandwich(b.output, products) {
				h, w := top+i/b.outputs, left+i%b.outputs
				if h >= images.h || w >= images.w {
					continue
				}
				if bias != nil {
					sum += math.Abs(bias[o])
				}
				result.data[result.at(n, h, w)+o] = float64(images.c+b.roundings)*u*sum + tiny
			}
		}
	})
	return result.data
}

// weight bounds the gradient of the filters; images (C) and gradients (O) have the
// same pixels.
func (b *winogradBounds) weight(images, gradients winogradTiles) []float64 {
	points, pad := len(b.input)*len(b.input), b.taps/2
	products := make([]float64, gradients.c*images.c*points)
	tiles := 0
	images.each(b.outputs, func(n, top, left int) {
		x := images.points(b.input, n, top-pad, left-pad)
		dy := gradients.points(transpose(b.output), n, top, left)
		for o, d := range dy {
			for c, p := range x {
				sums := products[(o*images.c+c)*points:][:points]
				for i := range sums {
					sums[i] += d[i] * p[i]
				}
			}
		}
		tiles++
	})
	taps := b.taps * b.taps
	bound := make([]float64, gradients.c*taps*images.c)
	for o := range gradients.c {
		for c := range images.c {
			for tap, sum := range sandwich(transpose(b.filter), products[(o*images.c+c)*points:][:points]) {
				bound[(o*taps+tap)*images.c+c] = float64(tiles+b.roundings)*u*sum + tiny
			}
		}
	}
	return bound
}

// winogradRounds reports whether tiles of the given extent of an op's output, or of
// none if it is 0, round integers: those of 2×2 outputs of 3×3 filters do not.
func winogradRounds(op kernels.Op, name string, outputs int) bool {
	taps := 0
	switch op := op.(type) {
	case kernels.ConvForward:
		taps = op.W.Dim(1)
	case kernels.ConvBackwardInput:
		taps = op.W.Dim(1)
	case kernels.ConvBackwardWeight:
		taps = op.DW.Dim(1)
	}
	return outputs > 0 && outputs+taps-1 > 4 && name != "DBias"
}

// winogradForward, winogradBackwardInput and winogradBackwardWeight replace an
// op's bound if it was computed by Winograd's algorithm.

func winogradForward(op kernels.ConvForward, direct Bound) Bound {
	return func(r *Results) []float64 {
		if r.Winograd == 0 {
			return direct(r)
		}
		w, i, taps := r.In["W"], op.W.Dim(-1), op.W.Dim(1)
		return newWinogradBounds(r.Winograd, taps).correlation(newWinogradTiles(op.X, r.In["X"]), op.W.Dim(0),
			func(o, tap, c int) float64 { return w[(o*taps*taps+tap)*i+c] }, r.In["Bias"])
	}
}

func winogradBackwardInput(op kernels.ConvBackwardInput, direct Bound) Bound {
	return func(r *Results) []float64 {
		if r.Winograd == 0 {
			return direct(r)
		}
		w, i, taps := r.In["W"], op.W.Dim(-1), op.W.Dim(1)
		return newWinogradBounds(r.Winograd, taps).correlation(newWinogradTiles(op.DY, r.In["DY"]), i,
			func(o, tap, c int) float64 { return w[((c+1)*taps*taps-1-tap)*i+o] }, nil)
	}
}

func winogradBackwardWeight(op kernels.ConvBackwardWeight, direct Bound) Bound {
	return func(r *Results) []float64 {
		if r.Winograd == 0 {
			return direct(r)
		}
		return newWinogradBounds(r.Winograd, op.DW.Dim(1)).weight(newWinogradTiles(op.X, r.In["X"]), newWinogradTiles(op.DY, r.In["DY"]))
	}
}
