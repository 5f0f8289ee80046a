//go:build amd64 && !noasm

package simd

import "github.com/klauspost/cpuid/v2"

// machineTiers returns the vector tiers that the processor and the operating
// system support, slowest first.
func machineTiers() []*Kernels { return tiersWith(cpuid.CPU.Supports, permitAMX) }

// tiersWith returns the tiers of a processor that supports some features. permitAMX
// reports whether the operating system allows AMX, and is only asked if the
// processor has it.
func tiersWith(supports func(features ...cpuid.FeatureID) bool, permitAMX func() bool) []*Kernels {
	if !supports(cpuid.AVX2, cpuid.FMA3, cpuid.BMI2) {
		return nil
	}
	tiers := []*Kernels{&tierAVX2}
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
		amx.TilePairs, amx.GroupPairs, amx.UnevenPairs = tilePairsAMX, 16, true
		tiers = append(tiers, &amx)
	}
	return tiers
}

var tierAVX2 = Kernels{
	Name:  "avx2",
	Group: 3, Cols: 16, Block: 32,
	Tile: tileAVX2, UnevenGroups: true,
	Transpose: transposeAVX2,

	Add: pairwise(8, addAVX2, addGeneric), ReLUForward: pairwise(8, reluForwardAVX2, reluForwardGeneric),
	ReLUBackward: reluBackwardWith(8, reluBackwardAVX2),
	ColumnSum:    columnSumWith(32, columnSumAVX2), ColumnSquares: columnSquaresWith(32, columnSquaresAVX2),
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
	WinogradFilter:        winogradFilterWith(8, winogradFilterAVX2),
	WinogradInput:         winogradInputWith(8, winogradInputAVX2),
	WinogradOutput:        winogradOutputWith(8, winogradOutputAVX2),
	WinogradGradient:      winogradGradientWith(8, winogradGradientAVX2),
	WinogradWeight:        winogradWeightWith(8, winogradWeightAVX2),
	Dropout:               dropoutWith(8, dropoutAVX2),
	Adam:                  adamWith(8, adamAVX2), SGD: sgdWith(8, sgdAVX2, sgdMomentumAVX2),
	Pause: pause,
}

var tierAVX512 = Kernels{
	Name:  "avx512",
	Group: 7, Cols: 32, Block: 64,
	Tile:      tileAVX512,
	Transpose: transposeAVX2,

	Add: pairwise(16, addAVX512, addGeneric), ReLUForward: pairwise(16, reluForwardAVX512, reluForwardGeneric),
	ReLUBackward: reluBackwardWith(16, reluBackwardAVX512),
	ColumnSum:    columnSumWith(64, columnSumAVX512), ColumnSquares: columnSquaresWith(64, columnSquaresAVX512),
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
	WinogradFilter:        winogradFilterWith(16, winogradFilterAVX512),
	WinogradInput:         winogradInputWith(16, winogradInputAVX512),
	WinogradOutput:        winogradOutputWith(16, winogradOutputAVX512),
	WinogradGradient:      winogradGradientWith(16, winogradGradientAVX512),
	WinogradWeight:        winogradWeightWith(16, winogradWeightAVX512),
	Dropout:               dropoutWith(16, dropoutAVX512),
	Adam:                  adamWith(16, adamAVX512), SGD: sgdWith(16, sgdAVX512, sgdMomentumAVX512),
	Pause: pause,
}

// TileScratch is where the AVX2 tier puts a tile with fewer columns than its
// kernels compute, and where the AMX tier keeps the shapes of its registers.
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
	tilesAVX512[rows0+rows1-1][(cols-1)/16](t, cols)
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
	tilePairsAVX512s[rows0+rows1-1][(cols-1)/16](t, cols)
}

// tilesAVX2 holds the tile kernels by rows0 − 1 and rows1.
var tilesAVX2 = [3][4]func(t *Tile){
	{tile1plus0x16AVX2, tile1plus1x16AVX2, tile1plus2x16AVX2, tile1plus3x16AVX2},
	{tile2plus0x16AVX2, tile2plus1x16AVX2, tile2plus2x16AVX2, tile2plus3x16AVX2},
	{tile3plus0x16AVX2, tile3plus1x16AVX2, tile3plus2x16AVX2, tile3plus3x16AVX2},
}

func tileAVX2(t *Tile, rows0, rows1, cols int) {
	t.wide(tilesAVX2[rows0-1][rows1], rows0+rows1, cols)
}

// transposeAVX2 transposes blocks of 8×8 and leaves the edges to the portable
// code.
func transposeAVX2(dst []float32, ldd int, src []float32, lds, rows, cols int) {
	rows8, cols8 := rows&^7, cols&^7
	if cols8 > 0 {
		for i := 0; i < rows8; i += 8 {
			transpose8AVX2(&dst[i], ldd, &src[i*lds], lds, cols8/8)
		}
	}
	if cols8 < cols && rows8 > 0 {
		transposeGeneric(dst[cols8*ldd:], ldd, src[cols8:], lds, rows8, cols-cols8)
	}
	if rows8 < rows {
		transposeGeneric(dst[rows8:], ldd, src[rows8*lds:], lds, rows-rows8, cols)
	}
}
