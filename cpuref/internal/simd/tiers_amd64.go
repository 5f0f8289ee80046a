//go:build amd64 && !noasm

package simd

import (
	"unsafe"

	"github.com/klauspost/cpuid/v2"
)

// machineTiers returns the vector tiers that the processor and the operating
// system support, slowest first.
func machineTiers() []*Kernels { return tiersWith(cpuid.CPU.Supports, permitAMX) }

// tiersWith returns the tiers of a processor that supports some features: every
// amd64 processor has SSE2. permitAMX reports whether the operating system allows
// AMX, and is only asked if the processor has it.
func tiersWith(supports func(features ...cpuid.FeatureID) bool, permitAMX func() bool) []*Kernels {
	tiers := []*Kernels{&tierSSE}
	if !supports(cpuid.AVX2, cpuid.FMA3, cpuid.BMI2) {
		return tiers
	}
	tiers = append(tiers, &tierAVX2)
	if !supports(cpuid.AVX512F, cpuid.AVX512DQ, cpuid.AVX512BW, cpuid.AVX512VL) {
		return tiers
	}
	if !supports(cpuid.AVX512BF16) {
		return append(tiers, &tierAVX512)
	}
	paired := tierAVX512
	paired.TilePairs, paired.GroupPairs = tilePairsAVX512, paired.Group
	paired.Pair, paired.PairRows, paired.PairPanels = pairVector, pairRowsVector, pairPanelsVector
	tiers = append(tiers, &paired)
	if supports(cpuid.AMXTILE, cpuid.AMXBF16) && permitAMX() {
		amx := paired
		amx.Name = "amx"
		amx.TilePairs, amx.GroupPairs, amx.UnevenPairs, amx.WholePairs = tilePairsAMX, 16, true, true
		tiers = append(tiers, &amx)
	}
	return tiers
}

// tierSSE uses the instructions of every amd64 processor, up to SSE2.
var tierSSE = Kernels{
	Name:  "sse",
	Group: 3, Cols: 8, Block: 16,
	Tile: tileSSE, UnevenGroups: true, Tiles: severalTilesSSE,
	Conv3x3: conv3x3With(conv3x3SSE), Conv3x3Pool: conv3x3PoolWith(conv3x3PoolSSE),
	Conv3x3Weight: conv3x3WeightWith(conv3x3WeightSSE),
	CopyPanel:     copyPanelWith(copyPanelSSE), Transpose: transposeWith(4, transpose4SSE),

	Add: pairwise(4, addSSE, addGeneric), ReLUForward: pairwise(4, reluForwardSSE, reluForwardGeneric),
	ReLUBackward: reluBackwardWith(4, reluBackwardSSE),
	GELUForward:  geluForwardGeneric, GELUBackward: geluBackwardGeneric,
	SiLUForward: siluForwardGeneric, SiLUBackward: siluBackwardGeneric,
	ColumnSum: columnSumWith(16, columnSumSSE), ColumnSquares: columnSquaresWith(16, columnSquaresSSE),
	ColumnDots: columnDotsWith(16, columnDotsSSE),
	Normalize:  normalizeWith(16, normalizeSSE, normalizeGeneric), NormalizeBackward: normalizeBackwardWith(16, normalizeBackwardSSE),
	MaxPool2x2:            maxPoolWith(4, maxPool2x2SSE, maxPool2x2IndexSSE),
	MaxPool2x2Backward:    maxPoolBackwardWith(4, maxPool2x2BackwardSSE),
	NormalizeReLU:         normalizeWith(16, normalizeReLUSSE, normalizeReLUGeneric),
	ReLUDots:              reluDotsWith(16, reluDotsSSE),
	NormalizeReLUBackward: normalizeReLUBackwardWith(16, normalizeReLUBackwardSSE),
	NormalizeReLUPool2x2:  normalizeReLUPoolWith(4, normalizeReLUPool2x2SSE, normalizeReLUPool2x2IndexSSE),
	ReLUPool2x2Dots:       reluPoolDotsWith(4, reluPool2x2DotsSSE),
	ReLUPool2x2Backward:   reluPoolBackwardWith(4, reluPool2x2BackwardSSE),
	Winograd2x3: winogradWith(generic.Winograd2x3, 4, winogradVectors{winogradFilter2x3SSE, winogradInput2x3SSE,
		winogradOutput2x3SSE, winogradNormalize2x3SSE, winogradPool2x3SSE, winogradGradient2x3SSE, winogradWeight2x3SSE}),
	Winograd4x3: winogradWith(generic.Winograd4x3, 4, winogradVectors{winogradFilter4x3SSE, winogradInput4x3SSE,
		winogradOutput4x3SSE, winogradNormalize4x3SSE, winogradPool4x3SSE, winogradGradient4x3SSE, winogradWeight4x3SSE}),
	Winograd2x5: winogradWith(generic.Winograd2x5, 4, winogradVectors{winogradFilter2x5SSE, winogradInput2x5SSE,
		winogradOutput2x5SSE, winogradNormalize2x5SSE, winogradPool2x5SSE, winogradGradient2x5SSE, winogradWeight2x5SSE}),
	Winograd4x5: winogradWith(generic.Winograd4x5, 4, winogradVectors{winogradFilter4x5SSE, winogradInput4x5SSE,
		winogradOutput4x5SSE, winogradNormalize4x5SSE, winogradPool4x5SSE, winogradGradient4x5SSE, winogradWeight4x5SSE}),
	Dropout: dropoutGeneric,
	Adam:    adamWith(4, adamSSE), SGD: sgdWith(4, sgdSSE, sgdMomentumSSE), EMA: emaWith(4, emaSSE),
	Pause: pause,
}

var tierAVX2 = Kernels{
	Name:  "avx2",
	Group: 3, Cols: 16, Block: 32,
	Tile: tileAVX2, UnevenGroups: true, Tiles: severalTilesAVX2, PoolRow: poolRowAVX2,
	Conv3x3: conv3x3With(conv3x3AVX2), Conv3x3Pool: conv3x3PoolWith(conv3x3PoolAVX2),
	Conv3x3Weight: conv3x3WeightWith(conv3x3WeightAVX2),
	CopyPanel:     copyPanelWith(copyPanelAVX2), Transpose: transposeWith(8, transpose8AVX2),

	Add: pairwise(8, addAVX2, addGeneric), ReLUForward: pairwise(8, reluForwardAVX2, reluForwardGeneric),
	ReLUBackward: reluBackwardWith(8, reluBackwardAVX2),
	GELUForward:  pairwise(8, geluForwardAVX2, geluForwardGeneric), GELUBackward: backwardWith(8, geluBackwardAVX2, geluBackwardGeneric),
	SiLUForward: pairwise(8, siluForwardAVX2, siluForwardGeneric), SiLUBackward: backwardWith(8, siluBackwardAVX2, siluBackwardGeneric),
	ColumnSum: columnSumWith(32, columnSumAVX2), ColumnSquares: columnSquaresWith(32, columnSquaresAVX2),
	ColumnDots: columnDotsWith(32, columnDotsAVX2),
	Normalize:  normalizeWith(32, normalizeAVX2, normalizeGeneric), NormalizeBackward: normalizeBackwardWith(32, normalizeBackwardAVX2),
	MaxPool2x2:            maxPoolWith(8, maxPool2x2AVX2, maxPool2x2IndexAVX2),
	MaxPool2x2Backward:    maxPoolBackwardWith(8, maxPool2x2BackwardAVX2),
	NormalizeReLU:         normalizeWith(32, normalizeReLUAVX2, normalizeReLUGeneric),
	ReLUDots:              reluDotsWith(32, reluDotsAVX2),
	NormalizeReLUBackward: normalizeReLUBackwardWith(32, normalizeReLUBackwardAVX2),
	NormalizeReLUPool2x2:  normalizeReLUPoolWith(8, normalizeReLUPool2x2AVX2, normalizeReLUPool2x2IndexAVX2),
	ReLUPool2x2Dots:       reluPoolDotsWith(8, reluPool2x2DotsAVX2),
	ReLUPool2x2Backward:   reluPoolBackwardWith(8, reluPool2x2BackwardAVX2),
	Winograd2x3: winogradWith(generic.Winograd2x3, 8, winogradVectors{winogradFilter2x3AVX2, winogradInput2x3AVX2,
		winogradOutput2x3AVX2, winogradNormalize2x3AVX2, winogradPool2x3AVX2, winogradGradient2x3AVX2, winogradWeight2x3AVX2}),
	Winograd4x3: winogradWith(generic.Winograd4x3, 8, winogradVectors{winogradFilter4x3AVX2, winogradInput4x3AVX2,
		winogradOutput4x3AVX2, winogradNormalize4x3AVX2, winogradPool4x3AVX2, winogradGradient4x3AVX2, winogradWeight4x3AVX2}),
	Winograd2x5: winogradWith(generic.Winograd2x5, 8, winogradVectors{winogradFilter2x5AVX2, winogradInput2x5AVX2,
		winogradOutput2x5AVX2, winogradNormalize2x5AVX2, winogradPool2x5AVX2, winogradGradient2x5AVX2, winogradWeight2x5AVX2}),
	Winograd4x5: winogradWith(generic.Winograd4x5, 8, winogradVectors{winogradFilter4x5AVX2, winogradInput4x5AVX2,
		winogradOutput4x5AVX2, winogradNormalize4x5AVX2, winogradPool4x5AVX2, winogradGradient4x5AVX2, winogradWeight4x5AVX2}),
	Dropout: dropoutWith(8, dropoutAVX2),
	Adam:    adamWith(8, adamAVX2), SGD: sgdWith(8, sgdAVX2, sgdMomentumAVX2), EMA: emaWith(8, emaAVX2),
	Pause: pause,
}

var tierAVX512 = Kernels{
	Name:  "avx512",
	Group: 7, Cols: 32, Block: 64,
	Tile: tileAVX512, Tiles: severalTilesAVX512,
	PoolRow: poolRowAVX512,
	Conv3x3: conv3x3With(conv3x3AVX512), Conv3x3Pool: conv3x3PoolWith(conv3x3PoolAVX512),
	Conv3x3Weight: conv3x3WeightWith(conv3x3WeightAVX512),
	CopyPanel:     copyPanelWith(copyPanelAVX512), Transpose: transposeWith(8, transpose8AVX2),

	Add: pairwise(16, addAVX512, addGeneric), ReLUForward: pairwise(16, reluForwardAVX512, reluForwardGeneric),
	ReLUBackward: reluBackwardWith(16, reluBackwardAVX512),
	GELUForward:  pairwise(16, geluForwardAVX512, geluForwardGeneric), GELUBackward: backwardWith(16, geluBackwardAVX512, geluBackwardGeneric),
	SiLUForward: pairwise(16, siluForwardAVX512, siluForwardGeneric), SiLUBackward: backwardWith(16, siluBackwardAVX512, siluBackwardGeneric),
	ColumnSum: columnSumWith(64, columnSumAVX512), ColumnSquares: columnSquaresWith(64, columnSquaresAVX512),
	ColumnDots: columnDotsWith(64, columnDotsAVX512),
	Normalize:  normalizeWith(64, normalizeAVX512, normalizeGeneric), NormalizeBackward: normalizeBackwardWith(64, normalizeBackwardAVX512),
	MaxPool2x2:            maxPoolWith(16, maxPool2x2AVX512, maxPool2x2IndexAVX512),
	MaxPool2x2Backward:    maxPoolBackwardWith(16, maxPool2x2BackwardAVX512),
	NormalizeReLU:         normalizeWith(64, normalizeReLUAVX512, normalizeReLUGeneric),
	ReLUDots:              reluDotsWith(64, reluDotsAVX512),
	NormalizeReLUBackward: normalizeReLUBackwardWith(64, normalizeReLUBackwardAVX512),
	NormalizeReLUPool2x2:  normalizeReLUPoolWith(16, normalizeReLUPool2x2AVX512, normalizeReLUPool2x2IndexAVX512),
	ReLUPool2x2Dots:       reluPoolDotsWith(16, reluPool2x2DotsAVX512),
	ReLUPool2x2Backward:   reluPoolBackwardWith(16, reluPool2x2BackwardAVX512),
	Winograd2x3: winogradWith(generic.Winograd2x3, 16, winogradVectors{winogradFilter2x3AVX512, winogradInput2x3AVX512,
		winogradOutput2x3AVX512, winogradNormalize2x3AVX512, winogradPool2x3AVX512, winogradGradient2x3AVX512, winogradWeight2x3AVX512}),
	Winograd4x3: winogradWith(generic.Winograd4x3, 16, winogradVectors{winogradFilter4x3AVX512, winogradInput4x3AVX512,
		winogradOutput4x3AVX512, winogradNormalize4x3AVX512, winogradPool4x3AVX512, winogradGradient4x3AVX512, winogradWeight4x3AVX512}),
	Winograd2x5: winogradWith(generic.Winograd2x5, 16, winogradVectors{winogradFilter2x5AVX512, winogradInput2x5AVX512,
		winogradOutput2x5AVX512, winogradNormalize2x5AVX512, winogradPool2x5AVX512, winogradGradient2x5AVX512, winogradWeight2x5AVX512}),
	Winograd4x5: winogradWith(generic.Winograd4x5, 16, winogradVectors{winogradFilter4x5AVX512, winogradInput4x5AVX512,
		winogradOutput4x5AVX512, winogradNormalize4x5AVX512, winogradPool4x5AVX512, winogradGradient4x5AVX512, winogradWeight4x5AVX512}),
	Dropout: dropoutWith(16, dropoutAVX512),
	Adam:    adamWith(16, adamAVX512), SGD: sgdWith(16, sgdAVX512, sgdMomentumAVX512), EMA: emaWith(16, emaAVX512),
	Pause: pause,
}

// TileScratch is where the tiers SSE and AVX2 put a tile with fewer columns than
// their kernels compute, and where the AMX tier keeps the shapes of its registers.
type TileScratch struct {
	edge        [6 * 16]float32
	whole, rest amxShapes
}

// tilesAVX512 holds the tile kernels by rows − 1, for 16 and 32 columns.
var tilesAVX512 = [14][2]func(t *Tile, cols int){
	{tile1x16AVX512, tile1x32AVX512}, {tile2x16AVX512, tile2x32AVX512},
	{tile3x16AVX512, tile3x32AVX512}, {tile4x16AVX512, tile4x32AVX512},
	{tile5x16AVX512, tile5x32AVX512}, {tile6x16AVX512, tile6x32AVX512},
	{tile7x16AVX512, tile7x32AVX512}, {tile8x16AVX512, tile8x32AVX512},
	{tile9x16AVX512, tile9x32AVX512}, {tile10x16AVX512, tile10x32AVX512},
	{tile11x16AVX512, tile11x32AVX512}, {tile12x16AVX512, tile12x32AVX512},
	{tile13x16AVX512, tile13x32AVX512}, {tile14x16AVX512, tile14x32AVX512},
}

func tileAVX512(t *Tile, rows0, rows1, cols int) {
	t.Tiles = 1
	tilesAVX512[rows0+rows1-1][(cols-1)/16](t, cols)
}

func severalTilesAVX512(t *Tile, tiles, rows0, rows1 int) {
	t.Tiles = tiles
	tilesAVX512[rows0+rows1-1][1](t, 32)
}

// tilePairsAVX512s is tilesAVX512 for pairs.
var tilePairsAVX512s = [14][2]func(t *Tile, cols int){
	{tilePairs1x16AVX512, tilePairs1x32AVX512}, {tilePairs2x16AVX512, tilePairs2x32AVX512},
	{tilePairs3x16AVX512, tilePairs3x32AVX512}, {tilePairs4x16AVX512, tilePairs4x32AVX512},
	{tilePairs5x16AVX512, tilePairs5x32AVX512}, {tilePairs6x16AVX512, tilePairs6x32AVX512},
	{tilePairs7x16AVX512, tilePairs7x32AVX512}, {tilePairs8x16AVX512, tilePairs8x32AVX512},
	{tilePairs9x16AVX512, tilePairs9x32AVX512}, {tilePairs10x16AVX512, tilePairs10x32AVX512},
	{tilePairs11x16AVX512, tilePairs11x32AVX512}, {tilePairs12x16AVX512, tilePairs12x32AVX512},
	{tilePairs13x16AVX512, tilePairs13x32AVX512}, {tilePairs14x16AVX512, tilePairs14x32AVX512},
}

func tilePairsAVX512(t *Tile, rows0, rows1, cols int) {
	t.Tiles = 1
	tilePairsAVX512s[rows0+rows1-1][(cols-1)/16](t, cols)
}

// tilesAVX2 holds the tile kernels by rows0 − 1 and rows1.
var tilesAVX2 = [3][4]func(t *Tile){
	{tile1plus0x16AVX2, tile1plus1x16AVX2, tile1plus2x16AVX2, tile1plus3x16AVX2},
	{tile2plus0x16AVX2, tile2plus1x16AVX2, tile2plus2x16AVX2, tile2plus3x16AVX2},
	{tile3plus0x16AVX2, tile3plus1x16AVX2, tile3plus2x16AVX2, tile3plus3x16AVX2},
}

func tileAVX2(t *Tile, rows0, rows1, cols int) {
	t.Tiles = 1
	t.wide(tilesAVX2[rows0-1][rows1], rows0+rows1, cols, 16)
}

func severalTilesAVX2(t *Tile, tiles, rows0, rows1 int) {
	t.Tiles = tiles
	tilesAVX2[rows0-1][rows1](t)
}

func poolRowAVX2(t *Tile, windows, _ int) {
	t.Tiles = windows
	tilePool1x16AVX2(t)
}

// poolTilesAVX512 holds the kernels of PoolRow for 16 and 32 columns, by windows − 1.
var poolTilesAVX512 = [2][2]func(t *Tile){
	{tilePool1x16AVX512, tilePool2x16AVX512}, {tilePool1x32AVX512, tilePool2x32AVX512},
}

func poolRowAVX512(t *Tile, windows, cols int) {
	kernels := &poolTilesAVX512[cols/32]
	if t.Tiles = windows / 2; t.Tiles > 0 {
		kernels[1](t)
	}
	if windows%2 == 1 {
		last := windows - 1
		t.A0, t.A1, t.C = at(t.A0, 2*last*t.RowA), at(t.A1, 2*last*t.RowA), at(t.C, last*t.RowC)
		t.Tiles = 1
		kernels[0](t)
	}
}

// tilesSSE holds the tile kernels by rows0 − 1 and rows1.
var tilesSSE = [3][4]func(t *Tile){
	{tile1plus0x8SSE, tile1plus1x8SSE, tile1plus2x8SSE, tile1plus3x8SSE},
	{tile2plus0x8SSE, tile2plus1x8SSE, tile2plus2x8SSE, tile2plus3x8SSE},
	{tile3plus0x8SSE, tile3plus1x8SSE, tile3plus2x8SSE, tile3plus3x8SSE},
}

func tileSSE(t *Tile, rows0, rows1, cols int) {
	t.Tiles = 1
	t.wide(tilesSSE[rows0-1][rows1], rows0+rows1, cols, 8)
}

func severalTilesSSE(t *Tile, tiles, rows0, rows1 int) {
	t.Tiles = tiles
	tilesSSE[rows0-1][rows1](t)
}

// pairVector and the next two are the AVX-512 tier's Pair, PairRows and PairPanels.

func pairVector(dst, src []float32) {
	n := len(src) / 2 &^ 15
	if n > 0 {
		pairAVX512(&dst[0], &src[0], n)
	}
	pairGeneric(dst[n:], src[2*n:])
}

func pairRowsVector(dst, a, b []float32) { pairPanelsVector(dst, tierAVX512.Cols, a, b) }

func pairPanelsVector(dst []float32, distance int, a, b []float32) {
	if len(a) > 0 {
		pairRowsAVX512(&dst[0], &a[0], unsafe.SliceData(b), len(a), distance)
	}
}
