// Package simd holds the inner loops of the CPU backend: a matrix-product tile
// and the element-wise and column-wise passes, each in portable Go and in vector
// instructions where that pays. [Tiers] lists the instruction-set tiers that
// this machine can run; callers pick one and call through its function values.
package simd

// The generator imports this package; the noasm tag lets it compile before the generated files exist.
//go:generate env GOFLAGS=-tags=noasm go -C avo run . -out ../kernels_amd64.s -stubs ../stubs_amd64.go -pkg simd
//go:generate env GOFLAGS=-tags=noasm go -C avo run . -arm64 -out ../kernels_arm64.s -stubs ../stubs_arm64.go -pkg simd
//go:generate go -C avo run ./neon

import "unsafe"

// Kernels are the inner loops of one instruction-set tier. Functions that work
// on a matrix take the distance ld between its rows in elements; vectors with
// one value per column are as long as the matrix is wide.
type Kernels struct {
	Name string

	// Group is the number of rows in each of a tile's two groups, Cols the
	// number of its columns: a tile is at most 2·Group by Cols.
	Group, Cols int
	// Block is the number of columns that the column-wise passes process at
	// once: narrower matrices are best folded to it (see cpuref's columns).
	Block int

	// Tile computes a tile of rows0 + rows1 rows and cols columns. If rows1 is
	// not 0 and the tier's UnevenGroups is false, rows0 must be Group.
	Tile         func(t *Tile, rows0, rows1, cols int)
	UnevenGroups bool
	// Tiles computes tiles of Cols columns one below the other, as many calls of Tile
	// would: each begins rows0 + rows1 rows after the one before, and fetches ahead from
	// where that ended. It is nil in tiers without it.
	Tiles func(t *Tile, tiles, rows0, rows1 int)

	// PoolRow computes a row of 2×2 windows: a tile's product, then
	// NormalizeReLUPool2x2 with t's Mean, Scale and Shift. Window w pools the rows 2·w
	// and 2·w+1 from A0 on and the same two from A1 on; its maximum is row w of C. cols
	// is 16 or Cols. PoolRow ignores Accumulate and Ahead. It is nil in tiers without it.
	PoolRow func(t *Tile, windows, cols int)

	// Conv3x3 computes rows of at least Conv3x3Run pixels of a convolution of one
	// channel, with the bits of Tile but for the sign of zeros. channels is a multiple
	// of 16, or Cols if that is fewer, and at most Cols.
	Conv3x3 func(c *Conv3x3, pixels, channels int)
	// Conv3x3Pool computes rows of 2×2 windows, with the bits of
	// NormalizeReLUPool2x2 after Conv3x3.
	Conv3x3Pool func(c *Conv3x3, windows, channels int)
	// Conv3x3Weight adds the gradient of the filters, from rows of any number of pixels:
	// W[kh,kw; j] += Σ x[h+kh, p+kw]·y[h, p; j]. channels is a multiple of 16.
	Conv3x3Weight func(c *Conv3x3, pixels, channels int)

	// CopyPanel copies rows of Cols columns: dst[r·Cols+j] = src[r·ld+j].
	CopyPanel func(dst, src []float32, ld, rows int)
	// Transpose: dst[j·ldd+i] = src[i·lds+j], i < rows, j < cols.
	Transpose func(dst []float32, ldd int, src []float32, lds, rows, cols int)

	Add          func(y, x []float32)      // y += x
	ReLUForward  func(y, x []float32)      // y = max(x, 0), NaN stays
	ReLUBackward func(dx, y, dy []float32) // dx = dy where y > 0, else 0
	GELUForward  func(y, x []float32)      // y = x·Φ(x)
	GELUBackward func(dx, x, dy []float32) // dx = dy·(Φ(x) + x·φ(x))
	SiLUForward  func(y, x []float32)      // y = x·σ(x)
	SiLUBackward func(dx, x, dy []float32) // dx = dy·σ(x)·(1 + x·σ(−x))

	// ColumnSum: sum[j] += Σ_r x[r·ld+j].
	ColumnSum func(sum, x []float32, ld, rows int)
	// ColumnSquares: with d = x[r·ld+j] − shift[j], sum[j] += Σ_r d and squares[j] += Σ_r d².
	ColumnSquares func(sum, squares, x, shift []float32, ld, rows int)
	// ColumnDots: sum[j] += Σ_r dy[r·ld+j], dot[j] += Σ_r dy[r·ld+j]·(x[r·ld+j] − mean[j]).
	ColumnDots func(sum, dot, dy, x, mean []float32, ld, rows int)
	// Normalize: y[r·ld+j] = (x[r·ld+j] − mean[j])·scale[j] + shift[j]. Each step
	// is rounded, so that the bits do not depend on which elements the vector code
	// computes.
	Normalize func(y, x, mean, scale, shift []float32, ld, rows int)
	// NormalizeBackward: dx = scale[j]·dy + (slope[j]·(x − mean[j]) + shift[j]).
	NormalizeBackward func(dx, dy, x, mean, scale, slope, shift []float32, ld, rows int)

	// MaxPool2x2 takes the maxima of the 2×2 windows over two input rows x0 and
	// x1 of 2·len(y)/c pixels of c channels. index may be nil.
	MaxPool2x2 func(y []float32, index []uint32, x0, x1 []float32, c int)
	// MaxPool2x2Backward writes dy to the element at index of each window in
	// the two rows dx0 and dx1, and 0 to the others.
	MaxPool2x2Backward func(dx0, dx1, dy []float32, index []uint32, c int)

	// NormalizeReLU: y = max(0, (x − mean[j])·scale[j] + shift[j]), rounded as by
	// Normalize; NaN stays.
	NormalizeReLU func(y, x, mean, scale, shift []float32, ld, rows int)
	// ReLUDots is ColumnDots over the elements where y > 0.
	ReLUDots func(sum, dot, dy, y, x, mean []float32, ld, rows int)
	// NormalizeReLUBackward is NormalizeBackward with dy replaced by 0 unless y > 0.
	NormalizeReLUBackward func(dx, dy, y, x, mean, scale, slope, shift []float32, ld, rows int)

	// NormalizeReLUPool2x2 is NormalizeReLU followed by the maxima of the
	// windows of MaxPool2x2; the first of equals wins. mean, scale and shift
	// have length c. index may be nil.
	NormalizeReLUPool2x2 func(y []float32, index []uint32, x0, x1, mean, scale, shift []float32, c int)
	// ReLUPool2x2Dots is ReLUDots over these windows, with x at index.
	ReLUPool2x2Dots func(sum, dot, dy, y []float32, index []uint32, x0, x1, mean []float32, c int)
	// ReLUPool2x2Backward is NormalizeReLUBackward over these windows: dy goes
	// to the element at index, and the others get none.
	ReLUPool2x2Backward func(dx0, dx1, dy, y []float32, index []uint32, x0, x1, mean, scale, slope, shift []float32, c int)

	// The transforms of Winograd's convolution F(m×m, r×r), by m and r.
	Winograd2x3, Winograd4x3, Winograd2x5, Winograd4x5 Winograd

	// Dropout zeroes or scales the units of one sample.
	Dropout func(y, x []float32, sample uint32, d *Dropout)

	Adam func(param, grad, m, v []float32, s *AdamStep)
	SGD  func(param, grad, m []float32, s *SGDStep)
	EMA  func(average, param []float32, s *EMAStep) // average += Rate·(param − average)

	// The loops of mixed precision; nil if the tier has no bfloat16 arithmetic.
	// A pair is two such numbers in the space of a float32, the first in its
	// lower half, so code that moves elements also moves pairs.
	// TilePairs is Tile with A and B in pairs, each of which adds two products.
	// Pairs of A are next to each other along k: StepA must be 1. Its groups have
	// at most GroupPairs rows, and UnevenPairs is its UnevenGroups. With WholePairs,
	// a group of fewer rows takes as long as a full one.
	TilePairs   func(t *Tile, rows0, rows1, cols int)
	GroupPairs  int
	UnevenPairs bool
	WholePairs  bool
	// Pair rounds src to pairs of neighbours: dst[i] = (src[2i], src[2i+1]). An
	// odd last element is paired with 0.
	Pair func(dst, src []float32)
	// PairRows rounds two rows to pairs: dst[i] = (a[i], b[i]). A nil b counts
	// as 0.
	PairRows func(dst, a, b []float32)
	// PairPanels is PairRows to blocks of Cols pairs, distance apart in dst.
	PairPanels func(dst []float32, distance int, a, b []float32)

	// Pause tells the core that the caller is spinning.
	Pause func()
}

// Tile is a tile of a matrix product and the location of its operands:
//
//	C[i,j] = Σ_b Σ_s Σ_k A[i; b,s,k]·B[b,s,k; j]  [+ Bias[j]]  [+ C[i,j]]
//
// k runs over K steps, s over Segments runs of k, b over Blocks of segments.
// Each level moves A and B by its own distances, so that a convolution's taps
// need not be copied side by side. The rows of A come in two groups: row i of
// the first is at A0 + i·RowA, of the second at A1 + i·RowA. All rows of C are
// RowC apart. B's columns are contiguous, and B must be readable for the tier's
// full Cols columns even if the tile has fewer. Distances are in elements.
type Tile struct {
	A0, A1, B, C *float32
	Bias         *float32 // may be nil

	RowA, RowC   int
	StepA, StepB int // from one k to the next
	K            int

	// Segments and Blocks are at least 1. Their jumps start where the last run
	// of k (or of segments) ended; Walk sets them.
	Segments, JumpA, JumpB         int
	Blocks, BlockJumpA, BlockJumpB int

	Accumulate int // 1: add to the old contents of C

	// Ahead is in a cache line that the tile may fetch for a later one, or nil. The
	// next k fetches the line StepAhead further; a segment ends with JumpAhead.
	Ahead                *float32
	StepAhead, JumpAhead int

	Mean, Scale, Shift *float32 // of PoolRow only
	Tiles              int      // set by the amd64 tiers' functions, at least 1

	TileScratch // for the vector tiers
}

// Walk sets the extents and distances of the reduction: steps of k, segments
// from start to start, and blocks from start to start.
func (t *Tile) Walk(k, stepA, stepB, segments, segmentA, segmentB, blocks, blockA, blockB int) {
	t.K, t.StepA, t.StepB = k, stepA, stepB
	t.Segments, t.JumpA, t.JumpB = segments, segmentA-k*stepA, segmentB-k*stepB
	t.Blocks = blocks
	t.BlockJumpA, t.BlockJumpB = blockA-segments*segmentA, blockB-segments*segmentB
}

// RowTiles returns the number of tiles, each of at most two groups, that hold the rows.
func RowTiles(group, rows int) int { return (rows + 2*group - 1) / (2 * group) }

// RowSplit is a split of rows into tiles of nearly equal height.
type RowSplit struct {
	tiles, height int
	taller        int // the first of them, with height + 1 rows
}

// SplitRows splits rows, at least one, into as few tiles as can hold them.
func (k *Kernels) SplitRows(rows int) RowSplit {
	tiles := RowTiles(k.Group, rows)
	return RowSplit{tiles, rows / tiles, rows % tiles}
}

// Rows computes rows that are RowA apart from A0 on. Each tile fetches ahead from where
// the one before ended.
func (k *Kernels) Rows(t *Tile, rows RowSplit, cols int) {
	a, c, ahead := t.A0, t.C, t.Ahead
	for first, i := 0, 0; i < rows.tiles; {
		n, same := rows.height, rows.tiles-i // tiles of one height
		if i < rows.taller {
			n, same = rows.height+1, rows.taller
		}
		if k.Tiles == nil || cols < k.Cols {
			same = 1
		}
		rows0 := min(n, k.Group)
		t.A0, t.C = at(a, first*t.RowA), at(c, first*t.RowC)
		if ahead != nil {
			t.Ahead = at(ahead, i*t.K*t.StepAhead)
		}
		if n > rows0 {
			t.A1 = at(t.A0, rows0*t.RowA)
		}
		if same > 1 {
			k.Tiles(t, same, rows0, n-rows0)
		} else {
			k.Tile(t, rows0, n-rows0, cols)
		}
		first, i = first+same*n, i+same
	}
}

// Dropout holds the parameters of one dropout: unit u of a sample is dropped if
// Philox4x32({u/4, sample, Step, Purpose}, Keys[0])[u%4] < Threshold.
type Dropout struct {
	Keys          [10][2]uint32 // of the rounds; SetKey fills them
	Step, Purpose uint32
	Threshold     uint32
	Scale         float32 // of the units that are kept
}

// SetKey sets the key of the first round and derives those of the others.
func (d *Dropout) SetKey(low, high uint32) {
	for i := range d.Keys {
		d.Keys[i] = [2]uint32{low, high}
		low += 0x9E3779B9 // the Weyl increments of Philox4x32
		high += 0xBB67AE85
	}
}

// AdamStep holds the parameters of one step of Adam.
type AdamStep struct {
	Beta1, OneMinusBeta1 float32
	Beta2, OneMinusBeta2 float32
	StepSize             float32 // lr / (1−β₁ᵗ)
	RootCorrection       float32 // √(1−β₂ᵗ)
	Eps, WeightDecay     float32
	Keep                 float32 // what decoupled weight decay leaves of a parameter, or 1
}

// SGDStep holds the parameters of one step of SGD: with the momentum buffer
// m ← Momentum·m + g, the direction is ShareG·g + ShareM·m.
type SGDStep struct {
	Rate, Momentum, WeightDecay float32
	ShareG, ShareM              float32 // 0 and 1; with Nesterov momentum, 1 and Momentum
}

// EMAStep holds the parameter of one step of a moving average.
type EMAStep struct{ Rate float32 }

// Tiers returns the tiers that this machine can run, slowest first.
func Tiers() []*Kernels { return append([]*Kernels{&generic}, machineTiers()...) }

// at returns the address of the element i elements after p.
func at(p *float32, i int) *float32 {
	return (*float32)(unsafe.Add(unsafe.Pointer(p), 4*i))
}
