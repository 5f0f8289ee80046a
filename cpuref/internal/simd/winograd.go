package simd

import "math"

// Winograd holds the transforms of Winograd's convolution F(m×m, r×r) (Lavin & Gray,
// "Fast algorithms for convolutional neural networks", 2016). An m×m tile of the
// output is
//
//	Y = Aᵀ·[Σ_channels (G·g·Gᵀ) ⊙ (Bᵀ·d·B)]·A
//
// of the r×r filters g and the n×n tiles d of the input, n = m+r−1. The gradient of
// the filters is the adjoint: dg = Gᵀ·[Σ_tiles (A·dY·Aᵀ) ⊙ (Bᵀ·d·B)]·G. The n²
// elements of a transformed tile are its points; those of the transforms' operands
// are du, dv or dm apart.
type Winograd struct {
	Outputs, Taps int // m and r

	// Filter transforms n filters g (r², dg) to points u.
	Filter func(u, g []float32, n, du, dg int)
	// Input transforms a row of tiles, each m pixels to the right of the one
	// before, to points v, of c channels each. x is the first tile's first pixel;
	// its rows are row apart.
	Input func(v, x []float32, tiles, c, row, dv int)
	// Output transforms points m, tiles ldm apart, to tiles of the output, whose
	// pixels are ldy and whose rows are row apart, and adds the bias of the c
	// channels. It stores the first rows and cols of each tile.
	Output func(y, m, bias []float32, tiles, c, ldy, row, ldm, dm, rows, cols int)
	// Normalize is Output followed by normalisation and a least value, and Pool is
	// Output followed by NormalizeReLUPool2x2: it stores the first rows and cols of each
	// tile's windows. constants holds, for at most WinogradConstants channels, what the
	// constants below say. The bits are those of separate passes, but for the sign of
	// zeros and of NaNs.
	Normalize, Pool func(y, m, constants []float32, tiles, c, ldy, row, ldm, dm, rows, cols int)
	// Gradient transforms a row of tiles of c channels of the gradient of the
	// output, whose pixels are ldy and whose rows are row apart, to points v.
	Gradient func(v, y []float32, tiles, c, ldy, row, dv int)
	// Weight transforms points m of the gradients of n filters to their taps dw
	// (r², ddw).
	Weight func(dw, m []float32, n, ddw, dm int)
}

// WinogradConstants is the distance between the vectors of an epilogue's constants, and
// the others are their positions.
const (
	WinogradConstants = 32

	WinogradBias  = 0
	WinogradMean  = 1
	WinogradScale = 2
	WinogradShift = 3
	WinogradLeast = 4 // of Normalize
)

// Extent returns the extent n of the input's tiles.
func (w *Winograd) Extent() int { return w.Outputs + w.Taps - 1 }

// Points returns the number of points of a tile.
func (w *Winograd) Points() int { return w.Extent() * w.Extent() }

// WinogradMatrices are the matrices of Winograd's convolution.
type WinogradMatrices struct {
	Output [][]float64 // Aᵀ (m, n)
	Filter [][]float64 // G (n, r)
	Input  [][]float64 // Bᵀ (n, n)
}

// winogradRoots are the finite numbers at which the algorithm evaluates
// polynomials, by n; infinity is the last. They decide the error. With 6, the usual
// 0, ±1, ±2 and ∞ have more than twice that of these, which are close to the best
// of Alam et al., "Winograd convolution for deep neural networks: efficient point
// selection", 2022. With 8, none of 130 other sets has a smaller one, forward times
// gradient of the weights. float32 holds them and their products in A and B exactly.
// Roots that differ in their sign alone are neighbours, for the generator.
var winogradRoots = map[int][]float64{4: {0, 1, -1}, 6: {0, 5. / 8, -5. / 8, 3. / 2, -3. / 2}, 8: {0, 1, -1, 1. / 2, -1. / 2, 2, -2}}

// NewWinogradMatrices returns the matrices of F(outputs×outputs, taps×taps) by the
// construction of Toom and Cook.
func NewWinogradMatrices(outputs, taps int) WinogradMatrices {
	n := outputs + taps - 1
	roots := winogradRoots[n]
	m := WinogradMatrices{Output: newMatrix(outputs, n), Filter: newMatrix(n, taps), Input: newMatrix(n, n)}
	for i, root := range roots {
		others := append(append([]float64{}, roots[:i]...), roots[i+1:]...)
		scale := 1.
		for _, other := range others {
			scale *= root - other
		}
		for k := range outputs {
			m.Output[k][i] = math.Pow(root, float64(k))
		}
		for k := range taps {
			m.Filter[i][k] = math.Pow(root, float64(k)) / math.Abs(scale)
		}
		for k, c := range polynomial(others) {
			m.Input[i][k] = math.Copysign(c, c*scale)
		}
	}
	m.Output[outputs-1][n-1], m.Filter[n-1][taps-1] = 1, 1
	copy(m.Input[n-1], polynomial(roots))
	return m
}

// polynomial returns the coefficients, from that of 1 on, of the product of x − root.
func polynomial(roots []float64) []float64 {
	c := []float64{1}
	for _, root := range roots {
		c = append([]float64{0}, c...)
		for i := range len(c) - 1 {
			c[i] -= root * c[i+1]
		}
	}
	return c
}

func newMatrix(rows, cols int) [][]float64 {
	m := make([][]float64, rows)
	for i := range m {
		m[i] = make([]float64, cols)
	}
	return m
}

// Transposed returns mᵀ.
func Transposed(m [][]float64) [][]float64 {
	t := newMatrix(len(m[0]), len(m))
	for i, row := range m {
		for j, v := range row {
			t[j][i] = v
		}
	}
	return t
}

// winogradGeneric returns the portable transforms of F(outputs×outputs, taps×taps).
func winogradGeneric(outputs, taps int) Winograd {
	m := NewWinogradMatrices(outputs, taps)
	n := outputs + taps - 1
	filter, input, output := newSandwich(m.Filter), newSandwich(m.Input), newSandwich(m.Output)
	gradient, weight := newSandwich(Transposed(m.Output)), newSandwich(Transposed(m.Filter))
	w := Winograd{Outputs: outputs, Taps: taps,
		Filter: func(u, g []float32, count, du, dg int) {
			filter.apply(u, n*du, du, n, n, g, taps*dg, dg, count)
		},
		Input: func(v, x []float32, tiles, c, row, dv int) {
			for t := range tiles {
				input.apply(v[t*c:], n*dv, dv, n, n, x[t*outputs*c:], row, c, c)
			}
		},
		Output: func(y, m, bias []float32, tiles, c, ldy, row, ldm, dm, rows, cols int) {
			for t := range tiles {
				to := y[t*outputs*ldy:]
				output.apply(to, row, ldy, rows, cols, m[t*ldm:], n*dm, dm, c)
				for i := range rows * cols {
					addGeneric(to[i/cols*row+i%cols*ldy:], bias[:c])
				}
			}
		},
		Gradient: func(v, y []float32, tiles, c, ldy, row, dv int) {
			for t := range tiles {
				gradient.apply(v[t*c:], n*dv, dv, n, n, y[t*outputs*ldy:], row, ldy, c)
			}
		},
		Weight: func(dw, m []float32, count, ddw, dm int) {
			weight.apply(dw, taps*ddw, ddw, taps, taps, m, n*dm, dm, count)
		},
	}
	w.Normalize, w.Pool = w.normalizeGeneric, w.poolGeneric
	return w
}

// channelConstants are the constants of an epilogue.
type channelConstants []float32

// vector returns one of the constants of c channels.
func (k channelConstants) vector(i, c int) []float32 { return k[i*WinogradConstants:][:c] }

func (w *Winograd) normalizeGeneric(y, m, constants []float32, tiles, c, ldy, row, ldm, dm, rows, cols int) {
	k := channelConstants(constants)
	mean, scale, shift, least := k.vector(WinogradMean, c), k.vector(WinogradScale, c), k.vector(WinogradShift, c), k.vector(WinogradLeast, c)
	for t := range tiles {
		to := y[t*w.Outputs*ldy:]
		w.Output(to, m[t*ldm:], k.vector(WinogradBias, c), 1, c, ldy, row, ldm, dm, rows, cols)
		for i := range rows * cols {
			pixel := to[i/cols*row+i%cols*ldy:][:c]
			normalizeGeneric(pixel, pixel, mean, scale, shift, c, 1)
			for j, v := range pixel {
				pixel[j] = max(v, least[j])
			}
		}
	}
}

func (w *Winograd) poolGeneric(y, m, constants []float32, tiles, c, ldy, row, ldm, dm, rows, cols int) {
	k := channelConstants(constants)
	mean, scale, shift := k.vector(WinogradMean, c), k.vector(WinogradScale, c), k.vector(WinogradShift, c)
	var tile [16 * WinogradConstants]float32 // before the pool
	line := 2 * cols * c
	for t := range tiles {
		w.Output(tile[:], m[t*ldm:], k.vector(WinogradBias, c), 1, c, c, line, ldm, dm, 2*rows, 2*cols)
		for i := range rows {
			for j := range cols {
				x0 := tile[2*i*line+2*j*c:]
				normalizeReLUPool2x2Generic(y[i*row+(t*w.Outputs/2+j)*ldy:][:c], nil, x0, x0[line:], mean, scale, shift, c)
			}
		}
	}
}

// sandwich is a matrix L that computes Y = L·X·Lᵀ, as its coefficients that are not
// 0, by row.
type sandwich [][]coefficient

type coefficient struct {
	at    int
	value float32
}

func newSandwich(l [][]float64) sandwich {
	s := make(sandwich, len(l))
	for i, row := range l {
		for j, v := range row {
			if v != 0 {
				s[i] = append(s[i], coefficient{j, float32(v)})
			}
		}
	}
	return s
}

// sandwichLanes is the number of matrices that apply computes at once.
const sandwichLanes = 8

// apply computes the first rows and cols of Y for c matrices, whose elements are
// rowX, rowY and colX, colY apart.
func (s sandwich) apply(y []float32, rowY, colY, rows, cols int, x []float32, rowX, colX, c int) {
	var xl [8][sandwichLanes]float32 // X·(column of Lᵀ)
	for from := 0; from < c; from += sandwichLanes {
		lanes := min(sandwichLanes, c-from)
		for k := range cols {
			for i := range s.extent() {
				s.combine(xl[i][:lanes], s[k], x[from+i*rowX:], colX)
			}
			for i := range rows {
				to := y[from+i*rowY+k*colY:][:lanes]
				clear(to)
				for _, l := range s[i] {
					for lane, v := range xl[l.at][:lanes] {
						to[lane] += l.value * v
					}
				}
			}
		}
	}
}

// combine computes the sum of the elements of x, distance apart, times coefficients.
func (s sandwich) combine(to []float32, coefficients []coefficient, x []float32, distance int) {
	clear(to)
	for _, l := range coefficients {
		for lane, v := range x[l.at*distance:][:len(to)] {
			to[lane] += l.value * v
		}
	}
}

// extent returns the number of columns of L: its last is not empty.
func (s sandwich) extent() int {
	n := 0
	for _, row := range s {
		for _, l := range row {
			n = max(n, l.at+1)
		}
	}
	return n
}
