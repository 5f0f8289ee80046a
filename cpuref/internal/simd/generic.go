package simd

import (
	"math"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// genericCols is the width of the portable tier's tiles.
const genericCols = 8

// generic is the portable tier. Its functions also process the remainders of the
// vector tiers, and tests compare the vector tiers with it.
var generic = Kernels{
	Name:  "generic",
	Group: 2, Cols: genericCols, Block: 8,
	Tile:         tileGeneric,
	UnevenGroups: true,
	CopyPanel:    copyPanelGeneric,
	Transpose:    transposeGeneric,

	Add: addGeneric, ReLUForward: reluForwardGeneric, ReLUBackward: reluBackwardGeneric,
	GELUForward: geluForwardGeneric, GELUBackward: geluBackwardGeneric,
	SiLUForward: siluForwardGeneric, SiLUBackward: siluBackwardGeneric,
	ColumnSum: columnSumGeneric, ColumnSquares: columnSquaresGeneric, ColumnDots: columnDotsGeneric,
	Normalize: normalizeGeneric, NormalizeBackward: normalizeBackwardGeneric,
	MaxPool2x2: maxPool2x2Generic, MaxPool2x2Backward: maxPool2x2BackwardGeneric,
	NormalizeReLU: normalizeReLUGeneric, ReLUDots: reluDotsGeneric, NormalizeReLUBackward: normalizeReLUBackwardGeneric,
	NormalizeReLUPool2x2: normalizeReLUPool2x2Generic, ReLUPool2x2Dots: reluPool2x2DotsGeneric,
	ReLUPool2x2Backward: reluPool2x2BackwardGeneric,
	Winograd2x3:         winogradGeneric(2, 3), Winograd4x3: winogradGeneric(4, 3), Winograd2x5: winogradGeneric(2, 5),
	Winograd4x5: winogradGeneric(4, 5),
	Dropout:     dropoutGeneric,
	Adam:        adamGeneric, SGD: sgdGeneric, EMA: emaGeneric,
	TilePairs: tilePairsGeneric, GroupPairs: 2, UnevenPairs: true, Pair: pairGeneric,
	PairRows: pairRowsGeneric, PairPanels: pairPanelsGeneric,
	Pause: func() {},
}

// tileGeneric computes the tile in pieces of 4×4, whose sums fit in registers.
func tileGeneric(t *Tile, rows0, rows1, cols int) { t.by4x4(rows0, rows1, cols, false) }

// by4x4 computes a tile, with or without pairs. Calling through a function value
// would put the sums on the heap.
func (t *Tile) by4x4(rows0, rows1, cols int, pairs bool) {
	var rows [4]*float32 // first element of each row of A; absent rows repeat row 0
	for i := range rows {
		switch {
		case i < rows0:
			rows[i] = at(t.A0, i*t.RowA)
		case i < rows0+rows1:
			rows[i] = at(t.A1, (i-rows0)*t.RowA)
		default:
			rows[i] = t.A0
		}
	}
	for j := 0; j < cols; j += 4 {
		var sum [4][4]float32
		if pairs {
			pairs4x4(t, &rows, at(t.B, j), min(4, cols-j), &sum)
		} else {
			tile4x4(t, &rows, at(t.B, j), min(4, cols-j), &sum)
		}
		for i := range rows0 + rows1 {
			for jj := range min(4, cols-j) {
				c := at(t.C, i*t.RowC+j+jj)
				v := sum[i][jj]
				if t.Accumulate != 0 {
					v += *c
				}
				if t.Bias != nil {
					v += *at(t.Bias, j+jj)
				}
				*c = v
			}
		}
	}
}

// tile4x4 multiplies four rows of A by four columns of B; if there are fewer
// columns, the last one repeats.
func tile4x4(t *Tile, rows *[4]*float32, b *float32, cols int, sum *[4][4]float32) {
	c1, c2, c3 := min(1, cols-1), min(2, cols-1), min(3, cols-1)
	var s00, s01, s02, s03, s10, s11, s12, s13 float32
	var s20, s21, s22, s23, s30, s31, s32, s33 float32
	a0, a1, a2, a3 := rows[0], rows[1], rows[2], rows[3]
	var ka, kb int // the walk's offsets in A and B
	for range t.Blocks {
		for range t.Segments {
			for range t.K {
				b0, b1, b2, b3 := *at(b, kb), *at(b, kb+c1), *at(b, kb+c2), *at(b, kb+c3)
				x := *at(a0, ka)
				s00 += x * b0
				s01 += x * b1
				s02 += x * b2
				s03 += x * b3
				x = *at(a1, ka)
				s10 += x * b0
				s11 += x * b1
				s12 += x * b2
				s13 += x * b3
				x = *at(a2, ka)
				s20 += x * b0
				s21 += x * b1
				s22 += x * b2
				s23 += x * b3
				x = *at(a3, ka)
				s30 += x * b0
				s31 += x * b1
				s32 += x * b2
				s33 += x * b3
				ka += t.StepA
				kb += t.StepB
			}
			ka += t.JumpA
			kb += t.JumpB
		}
		ka += t.BlockJumpA
		kb += t.BlockJumpB
	}
	*sum = [4][4]float32{{s00, s01, s02, s03}, {s10, s11, s12, s13}, {s20, s21, s22, s23}, {s30, s31, s32, s33}}
}

func copyPanelGeneric(dst, src []float32, ld, rows int) {
	for r := range rows {
		copy(dst[r*genericCols:(r+1)*genericCols], src[r*ld:])
	}
}

func transposeGeneric(dst []float32, ldd int, src []float32, lds, rows, cols int) {
	const block = 16 // both sides of a block stay in the first-level cache
	for i0 := 0; i0 < rows; i0 += block {
		for j0 := 0; j0 < cols; j0 += block {
			for j := j0; j < min(j0+block, cols); j++ {
				for i := i0; i < min(i0+block, rows); i++ {
					dst[j*ldd+i] = src[i*lds+j]
				}
			}
		}
	}
}

func addGeneric(y, x []float32) {
	for i, v := range x {
		y[i] += v
	}
}

func reluForwardGeneric(y, x []float32) {
	for i, v := range x {
		if v <= 0 {
			v = 0
		}
		y[i] = v
	}
}

func reluBackwardGeneric(dx, y, dy []float32) {
	for i, v := range y {
		if v > 0 {
			dx[i] = dy[i]
		} else {
			dx[i] = 0
		}
	}
}

func columnSumGeneric(sum, x []float32, ld, rows int) {
	for r := range rows {
		for j, v := range x[r*ld : r*ld+len(sum)] {
			sum[j] += v
		}
	}
}

func columnSquaresGeneric(sum, squares, x, shift []float32, ld, rows int) {
	for r := range rows {
		for j, v := range x[r*ld : r*ld+len(sum)] {
			d := v - shift[j]
			sum[j] += d
			squares[j] += d * d
		}
	}
}

func columnDotsGeneric(sum, dot, dy, x, mean []float32, ld, rows int) {
	for r := range rows {
		xr := x[r*ld : r*ld+len(sum)]
		for j, g := range dy[r*ld : r*ld+len(sum)] {
			sum[j] += g
			dot[j] += g * (xr[j] - mean[j])
		}
	}
}

func normalizeGeneric(y, x, mean, scale, shift []float32, ld, rows int) {
	for r := range rows {
		yr := y[r*ld : r*ld+len(mean)]
		for j, v := range x[r*ld : r*ld+len(mean)] {
			yr[j] = float32((v-mean[j])*scale[j]) + shift[j] // never fused
		}
	}
}

func normalizeBackwardGeneric(dx, dy, x, mean, scale, slope, shift []float32, ld, rows int) {
	for r := range rows {
		dxr, xr := dx[r*ld:r*ld+len(mean)], x[r*ld:r*ld+len(mean)]
		for j, g := range dy[r*ld : r*ld+len(mean)] {
			dxr[j] = scale[j]*g + (slope[j]*(xr[j]-mean[j]) + shift[j])
		}
	}
}

func maxPool2x2Generic(y []float32, index []uint32, x0, x1 []float32, c int) {
	for i := range y {
		p := i/c*2*c + i%c // the window's first element in its row
		best, k := x0[p], uint32(0)
		for at, v := range [3]float32{x0[p+c], x1[p], x1[p+c]} {
			if !(v <= best) && best == best { // the first NaN wins
				best, k = v, uint32(at+1)
			}
		}
		y[i] = best
		if index != nil {
			index[i] = k
		}
	}
}

func maxPool2x2BackwardGeneric(dx0, dx1, dy []float32, index []uint32, c int) {
	for i, g := range dy {
		p := i/c*2*c + i%c
		var spread [4]float32
		spread[index[i]] = g
		dx0[p], dx0[p+c], dx1[p], dx1[p+c] = spread[0], spread[1], spread[2], spread[3]
	}
}

func dropoutGeneric(y, x []float32, sample uint32, d *Dropout) { dropoutFrom(0, y, x, sample, d) }

// dropoutFrom is dropoutGeneric for the units from 4·block.
func dropoutFrom(block uint32, y, x []float32, sample uint32, d *Dropout) {
	counter := [4]uint32{block, sample, d.Step, d.Purpose}
	for u := 0; u < len(x); u += 4 {
		random := kernels.Philox4x32(counter, d.Keys[0])
		for i, v := range x[u:min(u+4, len(x))] {
			if random[i] < d.Threshold {
				y[u+i] = 0
			} else {
				y[u+i] = v * d.Scale
			}
		}
		counter[0]++
	}
}

func adamGeneric(param, grad, m, v []float32, s *AdamStep) {
	for i, g := range grad {
		g += s.WeightDecay * param[i]
		m[i] = s.Beta1*m[i] + s.OneMinusBeta1*g
		v[i] = s.Beta2*v[i] + s.OneMinusBeta2*(g*g)
		root := float32(math.Sqrt(float64(v[i])))
		param[i] = s.Keep*param[i] - s.StepSize*m[i]/(root/s.RootCorrection+s.Eps)
	}
}

func emaGeneric(average, param []float32, s *EMAStep) {
	for i, p := range param {
		average[i] += s.Rate * (p - average[i])
	}
}

func sgdGeneric(param, grad, m []float32, s *SGDStep) {
	for i, g := range grad {
		g += s.WeightDecay * param[i]
		if m != nil {
			m[i] = s.Momentum*m[i] + g
			g = s.ShareG*g + s.ShareM*m[i]
		}
		param[i] -= s.Rate * g
	}
}
