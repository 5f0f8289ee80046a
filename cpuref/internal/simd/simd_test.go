package simd

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// eachTier runs a test for every tier that this machine has.
func eachTier(t *testing.T, test func(t *testing.T, k *Kernels)) {
	for _, k := range Tiers() {
		t.Run(k.Name, func(t *testing.T) { test(t, k) })
	}
}

// values returns n numbers around 0.
func values(r *rand.Rand, n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(r.NormFloat64())
	}
	return v
}

func clone(v []float32) []float32 { return append([]float32{}, v...) }

// isClose reports whether got equals want up to n roundings of numbers around
// size.
func isClose(got, want, size float64, n int) bool {
	return math.Abs(got-want) <= float64(n+8)*size*0x1p-24
}

// tileCase is a tile and the extents of its reduction.
type tileCase struct {
	rows0, rows1, cols       int
	k, segments, blocks      int
	rowA, stepA              int // of A
	stepB                    int
	bias, accumulate, linked bool // linked: A1 continues A0's rows
	pairs                    bool // TilePairs
}

func (c tileCase) String() string { type plain tileCase; return fmt.Sprintf("%+v", plain(c)) }

// Tiles of every height and width, and every walk, match sums in float64 and
// write nothing outside the tile.
func TestTile(t *testing.T) {
	eachTier(t, func(t *testing.T, k *Kernels) {
		r := rand.New(rand.NewPCG(1, 2))
		eachTile(k.Group, k.UnevenGroups, k.Cols, func(rows0, rows1, cols int) {
			checkTile(t, k, r, tileCase{rows0: rows0, rows1: rows1, cols: cols,
				k: 1 + r.IntN(5), segments: 1 + r.IntN(3), blocks: 1 + r.IntN(3),
				rowA: r.IntN(50), stepA: r.IntN(40), stepB: k.Cols + r.IntN(10),
				bias: r.IntN(2) == 0, accumulate: r.IntN(2) == 0, linked: r.IntN(2) == 0})
		})
	})
}

// So do tiles of pairs, with k of up to three of AMX's registers. Of the shapes, those
// whose first group is the smallest or the largest are all tested, and an eighth of
// the others.
func TestTilePairs(t *testing.T) {
	eachTier(t, func(t *testing.T, k *Kernels) {
		if k.TilePairs == nil {
			t.Skip("the tier has no mixed precision")
		}
		r := rand.New(rand.NewPCG(17, 18))
		eachTile(k.GroupPairs, k.UnevenPairs, k.Cols, func(rows0, rows1, cols int) {
			if rows0 > 1 && rows0 < k.GroupPairs && r.IntN(8) > 0 {
				return
			}
			checkTile(t, k, r, tileCase{rows0: rows0, rows1: rows1, cols: cols,
				k: 1 + r.IntN(40), segments: 1 + r.IntN(3), blocks: 1 + r.IntN(3),
				rowA: r.IntN(50), stepA: 1, stepB: k.Cols + r.IntN(10),
				bias: r.IntN(2) == 0, accumulate: r.IntN(2) == 0, linked: r.IntN(2) == 0, pairs: true})
		})
	})
}

// Any number of rows has the bits of single rows.
func TestRows(t *testing.T) {
	eachTier(t, func(t *testing.T, k *Kernels) {
		r := rand.New(rand.NewPCG(21, 22))
		for rows := 1; rows < 50; rows++ {
			depth, cols := 1+r.IntN(9), min(k.Cols, 1+r.IntN(2*k.Cols)) // half of them whole
			rowA, rowC := depth+r.IntN(3), cols+r.IntN(3)
			a, b := values(r, rows*rowA), values(r, depth*k.Cols)
			got := values(r, rows*rowC)
			want := clone(got)
			tile := &Tile{A0: &a[0], B: &b[0], C: &got[0], RowA: rowA, RowC: rowC}
			tile.Walk(depth, 1, k.Cols, 1, 0, 0, 1, 0, 0)
			tile.Accumulate = r.IntN(2)
			if r.IntN(2) == 0 {
				tile.Bias = &values(r, k.Cols)[0]
			}
			k.Rows(tile, k.SplitRows(rows), cols)
			for i := range rows {
				tile.A0, tile.C = &a[i*rowA], &want[i*rowC]
				k.Tile(tile, 1, 0, cols)
			}
			if !slices.Equal(got, want) {
				t.Errorf("%d×%d×%d: other bits than of single rows", rows, depth, cols)
			}
		}
	})
}

// PoolRow gives the bits of NormalizeReLUPool2x2 after Tile, also where an element is NaN.
func TestPoolRow(t *testing.T) {
	eachTier(t, func(t *testing.T, k *Kernels) {
		if k.PoolRow == nil {
			if strings.HasPrefix(k.Name, "avx") {
				t.Fatal("the tier lacks PoolRow")
			}
			t.Skip("skipped: only the AVX tiers have PoolRow")
		}
		r := rand.New(rand.NewPCG(23, 24))
		for windows := 1; windows < 8; windows++ {
			for cols := 16; cols <= k.Cols; cols += 16 {
				for range 4 {
					checkPoolRow(t, k, r, windows, cols)
				}
			}
		}
	})
}

func checkPoolRow(t *testing.T, k *Kernels, r *rand.Rand, windows, cols int) {
	t.Helper()
	depth, segments, rowA := 1+r.IntN(5), 1+r.IntN(3), 1+r.IntN(9)
	a, b, bias := values(r, 400), values(r, depth*segments*k.Cols), values(r, cols)
	a[r.IntN(len(a))] = float32(math.NaN())
	mean, scale, shift := values(r, cols), values(r, cols), values(r, cols)
	rowC := cols + r.IntN(5)
	got := values(r, windows*rowC)
	want := clone(got)

	tile := &Tile{RowA: rowA, RowC: rowC, B: &b[0], Mean: &mean[0], Scale: &scale[0], Shift: &shift[0]}
	if r.IntN(2) == 0 {
		tile.Bias = &bias[0]
	}
	tile.Walk(depth, 1, k.Cols, segments, 30, depth*k.Cols, 1, 0, 0)
	rows := [2][]float32{make([]float32, 2*windows*cols), make([]float32, 2*windows*cols)}
	for row := range rows {
		for i := range 2 * windows {
			tile.A0, tile.C = &a[100*row+i*rowA], &rows[row][i*cols]
			k.Tile(tile, 1, 0, cols)
		}
	}
	for w := range windows {
		from, to := 2*w*cols, 2*(w+1)*cols
		k.NormalizeReLUPool2x2(want[w*rowC:][:cols], nil, rows[0][from:to], rows[1][from:to], mean, scale, shift, cols)
	}
	tile.A0, tile.A1, tile.C = &a[0], &a[100], &got[0]
	k.PoolRow(tile, windows, cols)
	for i, w := range want {
		if math.Float32bits(got[i]) != math.Float32bits(w) {
			t.Fatalf("%d windows, %d columns: element %d is %v, want %v", windows, cols, i, got[i], w)
		}
	}
}

// Conv3x3 gives the results of Tile, and Conv3x3Pool those of NormalizeReLUPool2x2 after
// it, for rows of every length; they write nothing else.
func TestConv3x3(t *testing.T) {
	eachTier(t, func(t *testing.T, k *Kernels) {
		if k.Conv3x3 == nil {
			if k.Name != generic.Name {
				t.Fatal("the tier lacks Conv3x3")
			}
			t.Skip("skipped: the portable tier has no Conv3x3")
		}
		r := rand.New(rand.NewPCG(25, 26))
		for width := Conv3x3Run; width < 4*Conv3x3Run; width++ {
			for channels := min(16, k.Cols); channels <= k.Cols; channels += 16 {
				checkConv3x3(t, k, r, width, 1+r.IntN(6), channels)
			}
		}
	})
}

// checkConv3x3 computes rows of pixels, and what is pooled of them.
func checkConv3x3(t *testing.T, k *Kernels, r *rand.Rand, width, rows, channels int) {
	t.Helper()
	line := width + 2 + r.IntN(3)
	image, w := values(r, (rows+2)*line), values(r, 9*k.Cols)
	constants := values(r, (WinogradLeast+1)*WinogradConstants)
	clear(constants[WinogradLeast*WinogradConstants:])
	constant := func(i int) []float32 { return constants[i*WinogradConstants:][:channels] }
	pixel := channels + r.IntN(5)
	const untouched = 1e30
	got := make([]float32, rows*width*pixel)
	for i := range got {
		got[i] = untouched
	}
	pooled, wantPooled := clone(got), clone(got)

	tile := &Tile{RowA: 1, RowC: channels, B: &w[0], Bias: &constants[0]}
	tile.Walk(3, 1, k.Cols, 3, line, 3*k.Cols, 1, 0, 0)
	want := make([]float32, rows*width*channels)
	for h := range rows {
		for x := range width {
			tile.A0, tile.C = &image[h*line+x], &want[(h*width+x)*channels]
			k.Tile(tile, 1, 0, channels)
		}
	}
	c := &Conv3x3{X: &image[0], W: &w[0], Constants: &constants[0], Y: &got[0],
		Line: line, RowW: k.Cols, Pixel: pixel, RowY: width * pixel, Rows: rows}
	k.Conv3x3(c, width, channels)
	for i, v := range got {
		p, j := i/pixel, i%pixel
		if j < channels && v != want[p*channels+j] || j >= channels && v != untouched {
			t.Fatalf("%d pixels, %d channels: element %d of pixel %d is %v", width, channels, j, p, v)
		}
	}

	windows := width / 2
	for h := range rows / 2 {
		for x := range windows {
			x0, x1 := want[(2*h*width+2*x)*channels:], want[((2*h+1)*width+2*x)*channels:]
			k.NormalizeReLUPool2x2(wantPooled[(h*windows+x)*pixel:][:channels], nil, x0[:2*channels], x1[:2*channels],
				constant(WinogradMean), constant(WinogradScale), constant(WinogradShift), channels)
		}
	}
	if c.Y, c.RowY, c.Rows = &pooled[0], windows*pixel, rows/2; c.Rows > 0 {
		k.Conv3x3Pool(c, windows, channels)
	}
	if !slices.Equal(pooled, wantPooled) {
		t.Fatalf("%d×%d pixels, %d channels: other pooled results than of NormalizeReLUPool2x2", rows, width, channels)
	}
}

// Conv3x3Weight matches sums in float64, for rows of every length.
func TestConv3x3Weight(t *testing.T) {
	eachTier(t, func(t *testing.T, k *Kernels) {
		if k.Conv3x3Weight == nil {
			if k.Name != generic.Name {
				t.Fatal("the tier lacks Conv3x3Weight")
			}
			t.Skip("skipped: the portable tier has no Conv3x3Weight")
		}
		r := rand.New(rand.NewPCG(29, 30))
		for width := 1; width < 4*Conv3x3Run; width++ {
			rows, line, channels := 1+r.IntN(4), width+2+r.IntN(3), 16*(1+r.IntN(4))
			pixel, rowW := channels+r.IntN(5), channels+r.IntN(5)
			x, y, got := values(r, (rows+2)*line), values(r, rows*width*pixel), values(r, 9*rowW)
			old := clone(got)
			k.Conv3x3Weight(&Conv3x3{X: &x[0], W: &got[0], Y: &y[0], Line: line, RowW: rowW, Pixel: pixel,
				RowY: width * pixel, Rows: rows}, width, channels)
			for i, v := range got {
				tap, j := i/rowW, i%rowW
				want, size := float64(old[i]), math.Abs(float64(old[i]))
				for p := 0; j < channels && p < rows*width; p++ {
					product := float64(x[(p/width+tap/3)*line+p%width+tap%3]) * float64(y[p*pixel+j])
					want, size = want+product, size+math.Abs(product)
				}
				if !isClose(float64(v), want, size, rows*width) {
					t.Fatalf("%d×%d pixels, %d channels: tap %d of channel %d is %v, want %v", rows, width, channels, tap, j, v, want)
				}
			}
		}
	})
}

// A panel's columns are copied, and nothing else is written.
func TestCopyPanel(t *testing.T) {
	eachTier(t, func(t *testing.T, k *Kernels) {
		r := rand.New(rand.NewPCG(27, 28))
		for rows := 1; rows < 6; rows++ {
			ld := k.Cols + r.IntN(5)
			src := values(r, rows*ld)
			got := make([]float32, (rows+1)*k.Cols)
			want := clone(got)
			for i := range rows {
				copy(want[i*k.Cols:(i+1)*k.Cols], src[i*ld:])
			}
			k.CopyPanel(got, src, ld, rows)
			if !slices.Equal(got, want) {
				t.Errorf("%d rows, %d apart: got %v, want %v", rows, ld, got, want)
			}
		}
	})
}

// eachTile calls body for every shape of a tile of two groups of rows.
func eachTile(group int, uneven bool, most int, body func(rows0, rows1, cols int)) {
	for rows0 := 1; rows0 <= group; rows0++ {
		for rows1 := 0; rows1 <= group; rows1++ {
			if rows1 > 0 && rows0 < group && !uneven {
				continue
			}
			for cols := 1; cols <= most; cols++ {
				body(rows0, rows1, cols)
			}
		}
	}
}

func checkTile(t *testing.T, k *Kernels, r *rand.Rand, c tileCase) {
	t.Helper()
	const size, untouched = 6000, 1e30
	a, b, bias := values(r, size), values(r, size), values(r, k.Cols)
	if c.pairs {
		a, b = pairedValues(r, size), pairedValues(r, size)
	}
	segmentA, segmentB, blockA, blockB := r.IntN(300)-150, r.IntN(300)-150, r.IntN(300), r.IntN(300)
	a0, b0 := 1000, 1000 // room for negative distances
	a1 := 1000 + r.IntN(100)
	if c.linked {
		a1 = a0 + c.rows0*c.rowA
	}
	rowC := c.cols + r.IntN(5)
	rows := c.rows0 + c.rows1
	got := make([]float32, rows*rowC+k.Cols)
	for i := range got {
		got[i] = untouched
		if c.accumulate && i/rowC < rows && i%rowC < c.cols {
			got[i] = float32(r.NormFloat64())
		}
	}
	old := clone(got)

	tile := &Tile{A0: &a[a0], A1: &a[a1], B: &b[b0], C: &got[0], RowA: c.rowA, RowC: rowC}
	tile.Walk(c.k, c.stepA, c.stepB, c.segments, segmentA, segmentB, c.blocks, blockA, blockB)
	if c.bias {
		tile.Bias = &bias[0]
	}
	if c.accumulate {
		tile.Accumulate = 1
	}
	if r.IntN(2) == 0 { // any address can be fetched
		tile.Ahead, tile.StepAhead, tile.JumpAhead = &a[0], r.IntN(1<<20), -r.IntN(1<<20)
	}
	if c.pairs {
		k.TilePairs(tile, c.rows0, c.rows1, c.cols)
	} else {
		k.Tile(tile, c.rows0, c.rows1, c.cols)
	}

	for p, v := range got {
		i, j := p/rowC, p%rowC
		if i >= rows || j >= c.cols {
			if v != untouched {
				t.Fatalf("%v: element (%d, %d) outside the tile became %v", c, i, j, v)
			}
			continue
		}
		start := a0 + i*c.rowA
		if i >= c.rows0 {
			start = a1 + (i-c.rows0)*c.rowA
		}
		want, magnitude := 0.0, 0.0
		for block := range c.blocks {
			for segment := range c.segments {
				for step := range c.k {
					x := c.factors(a[start+block*blockA+segment*segmentA+step*c.stepA])
					y := c.factors(b[b0+block*blockB+segment*segmentB+step*c.stepB+j])
					want += x[0]*y[0] + x[1]*y[1]
					magnitude += math.Abs(x[0]*y[0]) + math.Abs(x[1]*y[1])
				}
			}
		}
		if c.bias {
			want += float64(bias[j])
			magnitude += math.Abs(float64(bias[j]))
		}
		if c.accumulate {
			want += float64(old[p])
			magnitude += math.Abs(float64(old[p]))
		}
		if !isClose(float64(v), want, magnitude, 2*c.k*c.segments*c.blocks) {
			t.Fatalf("%v: element (%d, %d) is %v, want %v", c, i, j, v, want)
		}
	}
}

// factors returns the one or two factors in an element.
func (c tileCase) factors(element float32) [2]float64 {
	if !c.pairs {
		return [2]float64{float64(element), 0}
	}
	low, high := halves(element)
	return [2]float64{float64(low), float64(high)}
}

// pairedValues returns n pairs of numbers around 0.
func pairedValues(r *rand.Rand, n int) []float32 {
	v := make([]float32, n)
	pairGeneric(v, values(r, 2*n))
	return v
}

// Every tier rounds any number of elements to the same pairs: to nearest even,
// including infinities and NaN.
func TestPairs(t *testing.T) {
	eachTier(t, func(t *testing.T, k *Kernels) {
		if k.Pair == nil {
			t.Skip("the tier has no mixed precision")
		}
		r := rand.New(rand.NewPCG(13, 14))
		special := []float32{0, float32(math.Inf(1)), float32(math.Inf(-1)), math.MaxFloat32,
			1 + 0x1p-8, 1 + 3*0x1p-8, -1 - 0x1p-8, 1 + 0x1p-8 + 0x1p-23, float32(math.NaN())}
		for n := range 200 {
			a, b := values(r, n), values(r, n)
			for i := range a {
				if r.IntN(4) == 0 {
					a[i], b[i] = special[r.IntN(len(special))], special[r.IntN(len(special))]
				}
			}
			checkPairs(t, n, (n+1)/2, func(k *Kernels, dst []float32) { k.Pair(dst, a) }, k, func(i int) (low, high float32) {
				if 2*i+1 < n {
					high = a[2*i+1]
				}
				return a[2*i], high
			})
			checkPairs(t, n, n, func(k *Kernels, dst []float32) { k.PairRows(dst, a, b) }, k, func(i int) (low, high float32) { return a[i], b[i] })
			checkPairs(t, n, n, func(k *Kernels, dst []float32) { k.PairRows(dst, a, nil) }, k, func(i int) (low, high float32) { return a[i], 0 })
			for _, second := range [][]float32{b, nil} {
				checkPairPanels(t, k, a, second)
			}
		}
	})
}

// checkPairPanels compares PairPanels with PairRows.
func checkPairPanels(t *testing.T, k *Kernels, a, b []float32) {
	t.Helper()
	const gap, fence = 5, 1e30
	want := make([]float32, len(a))
	k.PairRows(want, a, b)
	got := make([]float32, (len(a)/k.Cols+1)*(k.Cols+gap))
	for i := range got {
		got[i] = fence
	}
	k.PairPanels(got, k.Cols+gap, a, b)
	for p, v := range got {
		expected := math.Float32bits(fence)
		if i, column := p/(k.Cols+gap)*k.Cols+p%(k.Cols+gap), p%(k.Cols+gap); column < k.Cols && i < len(a) {
			expected = math.Float32bits(want[i])
		}
		if math.Float32bits(v) != expected {
			t.Fatalf("%d columns: element %d is %v, want %v", len(a), p, v, math.Float32frombits(expected))
		}
	}
}

// checkPairs compares the pairs that body makes with those of want, rounded here.
func checkPairs(t *testing.T, n, pairs int, body func(k *Kernels, dst []float32), k *Kernels, want func(i int) (low, high float32)) {
	t.Helper()
	const fence = 1e30
	got := make([]float32, pairs+1)
	got[pairs] = fence
	body(k, got)
	if got[pairs] != fence {
		t.Fatalf("%d elements: written after the last pair", n)
	}
	same := func(a, b float32) bool { return a == b || (a != a && b != b) }
	for i, pair := range got[:pairs] {
		low, high := halves(pair)
		wantLow, wantHigh := want(i)
		if !same(low, kernels.RoundBFloat16(wantLow)) || !same(high, kernels.RoundBFloat16(wantHigh)) {
			t.Fatalf("%d elements: pair %d is %v, %v; want %v, %v rounded", n, i, low, high, wantLow, wantHigh)
		}
	}
}

// The other functions of the vector tiers match the portable ones for lengths
// around their vectors and blocks, and write nothing else.
func TestElementwise(t *testing.T) {
	eachTier(t, func(t *testing.T, k *Kernels) {
		r := rand.New(rand.NewPCG(3, 4))
		for n := range 150 {
			compare(t, fmt.Sprintf("Add of %d", n), r, []int{n, n}, func(k *Kernels, v [][]float32) {
				k.Add(v[0], v[1])
			}, k)
			compare(t, fmt.Sprintf("ReLUForward of %d", n), r, []int{n, n}, func(k *Kernels, v [][]float32) {
				k.ReLUForward(v[0], v[1])
			}, k)
			compare(t, fmt.Sprintf("ReLUBackward of %d", n), r, []int{n, n, n}, func(k *Kernels, v [][]float32) {
				k.ReLUBackward(v[0], v[1], v[2])
			}, k)
			compare(t, fmt.Sprintf("Adam of %d", n), r, []int{n, n, n, n}, func(k *Kernels, v [][]float32) {
				for i := range v[3] {
					v[3][i] *= v[3][i]
				}
				k.Adam(v[0], v[1], v[2], v[3], &AdamStep{Beta1: .9, OneMinusBeta1: .1, Beta2: .999, OneMinusBeta2: .001,
					StepSize: .01, RootCorrection: .5, Eps: 1e-8, WeightDecay: .1, Keep: .9})
			}, k)
			compare(t, fmt.Sprintf("EMA of %d", n), r, []int{n, n}, func(k *Kernels, v [][]float32) {
				k.EMA(v[0], v[1], &EMAStep{Rate: .1})
			}, k)
			compare(t, fmt.Sprintf("SGD of %d", n), r, []int{n, n, n}, func(k *Kernels, v [][]float32) {
				k.SGD(v[0], v[1], nil, &SGDStep{Rate: .1, WeightDecay: .1})
				k.SGD(v[0], v[1], v[2], &SGDStep{Rate: .1, Momentum: .9, WeightDecay: .1, ShareG: 1, ShareM: .9})
				k.SGD(v[0], v[1], v[2], &SGDStep{Rate: .1, Momentum: .9, ShareM: 1})
			}, k)
		}
	})
}

// The mask is the same in every tier, whatever the number of units.
func TestDropout(t *testing.T) {
	eachTier(t, func(t *testing.T, k *Kernels) {
		d := &Dropout{Step: 0xfffffffe, Purpose: 3, Threshold: 1 << 30, Scale: 4. / 3}
		d.SetKey(0x89abcdef, 0x01234567)
		r := rand.New(rand.NewPCG(9, 10))
		for n := range 200 {
			compare(t, fmt.Sprintf("Dropout of %d", n), r, []int{n, n}, func(k *Kernels, v [][]float32) {
				k.Dropout(v[0], v[1], uint32(n)<<24, d)
			}, k)
		}
	})
}

func TestColumnwise(t *testing.T) {
	eachTier(t, func(t *testing.T, k *Kernels) {
		r := rand.New(rand.NewPCG(5, 6))
		for c := 1; c < 150; c++ {
			ld, rows := c+r.IntN(3), r.IntN(4)+1
			m := rows*ld + 3
			compare(t, fmt.Sprintf("ColumnSum of %d×%d", rows, c), r, []int{c, m}, func(k *Kernels, v [][]float32) {
				k.ColumnSum(v[0], v[1], ld, rows)
			}, k)
			compare(t, fmt.Sprintf("ColumnSquares of %d×%d", rows, c), r, []int{c, c, m, c}, func(k *Kernels, v [][]float32) {
				k.ColumnSquares(v[0], v[1], v[2], v[3], ld, rows)
			}, k)
			compare(t, fmt.Sprintf("ColumnDots of %d×%d", rows, c), r, []int{c, c, m, m, c}, func(k *Kernels, v [][]float32) {
				k.ColumnDots(v[0], v[1], v[2], v[3], v[4], ld, rows)
			}, k)
			compare(t, fmt.Sprintf("Normalize of %d×%d", rows, c), r, []int{m, m, c, c, c}, func(k *Kernels, v [][]float32) {
				k.Normalize(v[0], v[1], v[2], v[3], v[4], ld, rows)
			}, k)
			compare(t, fmt.Sprintf("NormalizeReLU of %d×%d", rows, c), r, []int{m, m, c, c, c}, func(k *Kernels, v [][]float32) {
				k.NormalizeReLU(v[0], v[1], v[2], v[3], v[4], ld, rows)
			}, k)
			compare(t, fmt.Sprintf("ReLUDots of %d×%d", rows, c), r, []int{c, c, m, m, m, c}, func(k *Kernels, v [][]float32) {
				k.ReLUDots(v[0], v[1], v[2], v[3], v[4], v[5], ld, rows)
			}, k)
			compare(t, fmt.Sprintf("NormalizeReLUBackward of %d×%d", rows, c), r, []int{m, m, m, m, c, c, c, c}, func(k *Kernels, v [][]float32) {
				k.NormalizeReLUBackward(v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7], ld, rows)
			}, k)
			compare(t, fmt.Sprintf("NormalizeBackward of %d×%d", rows, c), r, []int{m, m, m, c, c, c, c}, func(k *Kernels, v [][]float32) {
				k.NormalizeBackward(v[0], v[1], v[2], v[3], v[4], v[5], v[6], ld, rows)
			}, k)
		}
	})
}

// compare runs body on k and on the portable tier with the same arrays of the
// given lengths, each followed by a fence, and compares all of them.
func compare(t *testing.T, what string, r *rand.Rand, lengths []int, body func(k *Kernels, v [][]float32), k *Kernels) {
	t.Helper()
	const fence = 64
	var got, want [][]float32 // with their fences
	for _, n := range lengths {
		v := values(r, n+fence)
		got, want = append(got, v), append(want, clone(v))
	}
	arrays := func(all [][]float32) [][]float32 {
		v := make([][]float32, len(all))
		for i := range v {
			v[i] = all[i][:lengths[i]:lengths[i]]
		}
		return v
	}
	body(k, arrays(got))
	body(&generic, arrays(want))
	for i := range got {
		for j := range got[i] {
			g, w := float64(got[i][j]), float64(want[i][j])
			if j >= lengths[i] && g != w {
				t.Fatalf("%s: array %d, element %d of %d became %v", what, i, j, lengths[i], g)
			}
			if !isClose(g, w, 10+math.Abs(w), 30) {
				t.Fatalf("%s: array %d, element %d is %v, want %v", what, i, j, g, w)
			}
		}
	}
}

func TestTranspose(t *testing.T) {
	eachTier(t, func(t *testing.T, k *Kernels) {
		for rows := 1; rows < 36; rows++ {
			for cols := 1; cols < 36; cols++ {
				lds, ldd := cols+3, rows+2
				src, dst := make([]float32, rows*lds+1), make([]float32, cols*ldd+1)
				for i := range src {
					src[i] = float32(i + 1)
				}
				k.Transpose(dst, ldd, src, lds, rows, cols)
				for p, got := range dst {
					i, j, want := p%ldd, p/ldd, float32(0)
					if i < rows && j < cols {
						want = src[i*lds+j]
					}
					if got != want {
						t.Fatalf("%d×%d: dst[%d] is %v, want %v", rows, cols, p, got, want)
					}
				}
			}
		}
	})
}

// The first of equals wins, and the first NaN wins over everything.
func TestMaxPool2x2(t *testing.T) {
	nan := float32(math.NaN())
	eachTier(t, func(t *testing.T, k *Kernels) {
		r := rand.New(rand.NewPCG(7, 8))
		for _, c := range []int{1, 3, 4, 8, 12, 16, 24, 32, 33} {
			for pixels := 1; pixels < 6; pixels++ {
				n := pixels * c
				x0, x1 := make([]float32, 2*n), make([]float32, 2*n)
				for i := range x0 {
					choice := []float32{0, 1, 2, nan}
					x0[i], x1[i] = choice[r.IntN(4)], choice[r.IntN(4)]
				}
				checkMaxPool(t, k, x0, x1, c, n)
			}
		}
	})
}

func checkMaxPool(t *testing.T, k *Kernels, x0, x1 []float32, c, n int) {
	t.Helper()
	y, plain, index := make([]float32, n), make([]float32, n), make([]uint32, n)
	k.MaxPool2x2(y, index, x0, x1, c)
	k.MaxPool2x2(plain, nil, x0, x1, c)
	dy, dx0, dx1 := make([]float32, n), clone(x0), clone(x1)
	for i := range dy {
		dy[i] = float32(i + 1)
	}
	k.MaxPool2x2Backward(dx0, dx1, dy, index, c)
	for i := range n {
		p := i/c*2*c + i%c
		window, best := []float32{x0[p], x0[p+c], x1[p], x1[p+c]}, 0
		for j, v := range window {
			b := window[best]
			if v > b || (v != v && b == b) {
				best = j
			}
		}
		want := window[best]
		if same := func(a float32) bool { return a == want || (a != a && want != want) }; !same(y[i]) || !same(plain[i]) || index[i] != uint32(best) {
			t.Fatalf("c %d, element %d of %v: got %v, %v at %d, want %v at %d", c, i, window, y[i], plain[i], index[i], want, best)
		}
		for j, got := range []float32{dx0[p], dx0[p+c], dx1[p], dx1[p+c]} {
			if wantDX := float32(0); (j == best && got != dy[i]) || (j != best && got != wantDX) {
				t.Fatalf("c %d, element %d: gradient %v at %d, maximum at %d", c, i, got, j, best)
			}
		}
	}
}

// The fused passes over windows match the portable ones. The values are few, so
// that windows have ties.
func TestReLUPool2x2(t *testing.T) {
	eachTier(t, func(t *testing.T, k *Kernels) {
		r := rand.New(rand.NewPCG(11, 12))
		for _, c := range []int{1, 3, 4, 8, 12, 16, 24, 32, 48} {
			for windows := 1; windows < 6; windows++ {
				n, index := windows*c, make([]uint32, windows*c)
				for i := range index {
					index[i] = r.Uint32N(4)
				}
				lengths := []int{n, 2 * n, 2 * n, c, c, c, c, n, n, 2 * n, 2 * n}
				compare(t, fmt.Sprintf("windows of %d×%d", windows, c), r, lengths, func(k *Kernels, v [][]float32) {
					y, x0, x1, mean, scale, shift, slope := v[0], v[1], v[2], v[3], v[4], v[5], v[6]
					for i := range x0 {
						x0[i], x1[i] = float32(math.Round(float64(x0[i]))), float32(math.Round(float64(x1[i])))
					}
					k.ReLUPool2x2Dots(mean, scale, v[7], v[8], index, x0, x1, shift, c)
					k.ReLUPool2x2Backward(v[9], v[10], v[7], v[8], index, x0, x1, mean, scale, slope, shift, c)
					where := make([]uint32, n)
					k.NormalizeReLUPool2x2(y, nil, x0, x1, mean, scale, shift, c)
					k.NormalizeReLUPool2x2(v[7], where, x0, x1, mean, scale, shift, c)
					for i, w := range where {
						v[8][i] = float32(w)
					}
				}, k)
			}
		}
	})
}

// ReLU keeps NaN, also after batch-norm and before a pool.
func TestReLUKeepsNaN(t *testing.T) {
	const c = 112 // a vector or block of every tier and more
	x, mean := make([]float32, 2*c), make([]float32, c)
	for i := range x {
		x[i] = float32(math.NaN())
	}
	eachTier(t, func(t *testing.T, k *Kernels) {
		for name, pass := range map[string]func(y []float32){
			"ReLUForward":          func(y []float32) { k.ReLUForward(y, x[:c]) },
			"NormalizeReLU":        func(y []float32) { k.NormalizeReLU(y, x[:c], mean, mean, mean, c, 1) },
			"NormalizeReLUPool2x2": func(y []float32) { k.NormalizeReLUPool2x2(y, nil, x, x, mean, mean, mean, c) },
		} {
			y := make([]float32, c)
			pass(y)
			for i, v := range y {
				if v == v {
					t.Fatalf("%s: element %d is %v, want NaN", name, i, v)
				}
			}
		}
	})
}

func BenchmarkTile(b *testing.B) {
	for _, k := range Tiers() {
		b.Run(k.Name, func(b *testing.B) { benchmarkTile(b, k.Tile, k.Group, k.Cols, 1) })
		if k.TilePairs != nil {
			b.Run(k.Name+"-pairs", func(b *testing.B) { benchmarkTile(b, k.TilePairs, k.GroupPairs, k.Cols, 2) })
		}
	}
}

// benchmarkTile measures a tile of two groups of rows whose elements hold the given
// number of factors.
func benchmarkTile(b *testing.B, tile func(t *Tile, rows0, rows1, cols int), group, cols, factors int) {
	const steps = 256
	a, panel, c := make([]float32, 2*group*steps), make([]float32, cols*(steps+1)), make([]float32, 2*group*cols)
	t := &Tile{A0: &a[0], A1: &a[group*steps], B: &panel[0], C: &c[0], RowA: steps, RowC: cols}
	t.Walk(steps, 1, cols, 1, 0, 0, 1, 0, 0)
	for b.Loop() {
		tile(t, group, group, cols)
	}
	flops := 2 * 2 * float64(factors*group*cols*steps) * float64(b.N)
	b.ReportMetric(flops/b.Elapsed().Seconds()/1e9, "GFLOP/s")
}

// expNegative is within four units of 2⁻²⁴ of eˣ over all of its range, and keeps NaN.
func TestExpNegative(t *testing.T) {
	for i := range 1 << 20 {
		x := -87 * float32(i) / (1 << 20)
		want := math.Exp(float64(x))
		if got := float64(expNegative(x)); !(math.Abs(got-want) <= 4*0x1p-24*want) {
			t.Fatalf("exp(%v) is %v, want %v", x, got, want)
		}
	}
	for x, want := range map[float32]float32{0: 1, -88: 0, -1e30: 0, float32(math.Inf(-1)): 0} {
		if got := expNegative(x); got != want {
			t.Errorf("exp(%v) is %v, want %v", x, got, want)
		}
	}
	if got := expNegative(float32(math.NaN())); got == got {
		t.Errorf("exp(NaN) is %v", got)
	}
}

// activations are GELU, SiLU and their derivatives in float64, each with the error
// that its formula allows: half of the error function's 1.5e-7 and a few roundings of
// a number near 1, or a few roundings of the result and of what is added up on the
// way. A σ(x) below the normal numbers may become 0.
var activations = []struct {
	name   string
	value  func(x float64) float64
	bound  func(x, y float64) float64
	apply  func(k *Kernels, y, x []float32)
	limits [2]float64 // at −∞ and ∞, where their products are 0·∞
}{
	{"GELUForward", func(x float64) float64 { return x * normal(x) },
		func(x, y float64) float64 { return math.Abs(x)*cdfError + 2*u*math.Abs(y) },
		func(k *Kernels, y, x []float32) { k.GELUForward(y, x) }, [2]float64{math.NaN(), math.Inf(1)}},
	{"GELUBackward", func(x float64) float64 { return normal(x) + x*density(x) },
		func(x, y float64) float64 { return cdfError + (9+2*x*x)*math.Abs(x)*density(x)*u + 2*u*math.Abs(y) },
		func(k *Kernels, y, x []float32) { k.GELUBackward(y, x, ones(len(x))) }, [2]float64{math.NaN(), math.NaN()}},
	{"SiLUForward", func(x float64) float64 { return x * logistic(x) },
		func(x, y float64) float64 { return 8*u*math.Abs(y) + math.Abs(x)*0x1p-125 },
		func(k *Kernels, y, x []float32) { k.SiLUForward(y, x) }, [2]float64{math.NaN(), math.Inf(1)}},
	{"SiLUBackward", func(x float64) float64 { return logistic(x) * (1 + x*logistic(-x)) },
		func(x, y float64) float64 {
			return 12*u*logistic(x)*(1+math.Abs(x)*logistic(-x)) + (1+math.Abs(x))*0x1p-125
		},
		func(k *Kernels, y, x []float32) { k.SiLUBackward(y, x, ones(len(x))) }, [2]float64{math.NaN(), math.NaN()}},
}

const (
	u        = 0x1p-24
	cdfError = .75e-7 + 4*u
)

func normal(x float64) float64   { return math.Erfc(-x/math.Sqrt2) / 2 }
func density(x float64) float64  { return math.Exp(-x*x/2) / math.Sqrt(2*math.Pi) }
func logistic(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

func ones(n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = 1
	}
	return v
}

// In every tier the activations are close to float64's for numbers of every size,
// and NaN stays, whatever its bits.
func TestActivations(t *testing.T) {
	x := []float32{float32(math.Inf(-1)), float32(math.Inf(1)), 0, float32(math.Copysign(0, -1))}
	for bits := uint64(0); bits < 1<<32; bits += 1<<12 + 1 {
		x = append(x, math.Float32frombits(uint32(bits)))
	}
	for i := range 1 << 18 {
		x = append(x, float32(i-1<<17)*(100./(1<<17)))
	}
	eachTier(t, func(t *testing.T, k *Kernels) {
		y := make([]float32, len(x))
		for _, a := range activations {
			a.apply(k, y, x)
			worst := 0.
			for i, v := range x {
				v, got := float64(v), float64(y[i])
				want := a.value(v)
				if math.IsInf(v, 0) {
					want = a.limits[i]
				}
				if math.IsNaN(want) || math.IsInf(want, 0) {
					if !(got == want || math.IsNaN(got) && math.IsNaN(want)) {
						t.Fatalf("%s(%v) is %v, want %v", a.name, v, got, want)
					}
					continue
				}
				share := math.Abs(got-want) / (a.bound(v, want) + 0x1p-149)
				if !(share <= 1) {
					t.Fatalf("%s(%v) is %v, want %v: %.3g times the bound", a.name, v, got, want, share)
				}
				worst = max(worst, share)
			}
			t.Logf("%s: at most %.2f of the bound", a.name, worst)
		}
	})
}
