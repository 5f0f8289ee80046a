//go:build !noasm

package simd

// machineTiers returns the NEON tier: every arm64 processor that Go supports has
// NEON. It has no mixed precision, because portable code would be slower than
// float32.
func machineTiers() []*Kernels { return []*Kernels{&tierNEON} }

var tierNEON = Kernels{
	Name:  "neon",
	Group: 3, Cols: 16, Block: 16,
	Tile: tileNEON, UnevenGroups: true,
	Conv3x3: conv3x3With(conv3x3NEON), Conv3x3Pool: conv3x3PoolWith(conv3x3PoolNEON),
	Conv3x3Weight: conv3x3WeightWith(conv3x3WeightNEON),
	CopyPanel:     copyPanelWith(copyPanelNEON), Transpose: transposeWith(4, transpose4NEON),

	Add: pairwise(4, addNEON, addGeneric), ReLUForward: pairwise(4, reluForwardNEON, reluForwardGeneric),
	ReLUBackward: reluBackwardWith(4, reluBackwardNEON),
	GELUForward:  geluForwardGeneric, GELUBackward: geluBackwardGeneric,
	SiLUForward: siluForwardGeneric, SiLUBackward: siluBackwardGeneric,
	ColumnSum: columnSumWith(16, columnSumNEON), ColumnSquares: columnSquaresWith(16, columnSquaresNEON),
	ColumnDots: columnDotsWith(16, columnDotsNEON),
	Normalize:  normalizeWith(16, normalizeNEON, normalizeGeneric), NormalizeBackward: normalizeBackwardWith(16, normalizeBackwardNEON),
	MaxPool2x2:            maxPoolWith(4, maxPool2x2NEON, maxPool2x2IndexNEON),
	MaxPool2x2Backward:    maxPoolBackwardWith(4, maxPool2x2BackwardNEON),
	NormalizeReLU:         normalizeWith(16, normalizeReLUNEON, normalizeReLUGeneric),
	ReLUDots:              reluDotsWith(16, reluDotsNEON),
	NormalizeReLUBackward: normalizeReLUBackwardWith(16, normalizeReLUBackwardNEON),
	NormalizeReLUPool2x2:  normalizeReLUPoolWith(4, normalizeReLUPool2x2NEON, normalizeReLUPool2x2IndexNEON),
	ReLUPool2x2Dots:       reluPoolDotsWith(4, reluPool2x2DotsNEON),
	ReLUPool2x2Backward:   reluPoolBackwardWith(4, reluPool2x2BackwardNEON),
	Winograd2x3: winogradWith(generic.Winograd2x3, 4, winogradVectors{winogradFilter2x3NEON, winogradInput2x3NEON,
		winogradOutput2x3NEON, winogradNormalize2x3NEON, winogradPool2x3NEON, winogradGradient2x3NEON, winogradWeight2x3NEON}),
	Winograd4x3: winogradWith(generic.Winograd4x3, 4, winogradVectors{winogradFilter4x3NEON, winogradInput4x3NEON,
		winogradOutput4x3NEON, winogradNormalize4x3NEON, winogradPool4x3NEON, winogradGradient4x3NEON, winogradWeight4x3NEON}),
	Winograd2x5: winogradWith(generic.Winograd2x5, 4, winogradVectors{winogradFilter2x5NEON, winogradInput2x5NEON,
		winogradOutput2x5NEON, winogradNormalize2x5NEON, winogradPool2x5NEON, winogradGradient2x5NEON, winogradWeight2x5NEON}),
	Winograd4x5: winogradWith(generic.Winograd4x5, 4, winogradVectors{winogradFilter4x5NEON, winogradInput4x5NEON,
		winogradOutput4x5NEON, winogradNormalize4x5NEON, winogradPool4x5NEON, winogradGradient4x5NEON, winogradWeight4x5NEON}),
	Dropout: dropoutGeneric,
	Adam:    adamWith(4, adamNEON), SGD: sgdWith(4, sgdNEON, sgdMomentumNEON), EMA: emaWith(4, emaNEON),
	Pause: generic.Pause,
}

// TileScratch holds the addresses of a tile's rows of A, and a tile with fewer
// columns than the kernels compute.
type TileScratch struct {
	edge [6 * 16]float32
	rows [6]*float32
}

// tilesNEON holds the tile kernels by rows − 1.
var tilesNEON = [6]func(t *Tile){
	tile1x16NEON, tile2x16NEON, tile3x16NEON, tile4x16NEON, tile5x16NEON, tile6x16NEON,
}

func tileNEON(t *Tile, rows0, rows1, cols int) {
	for i := range rows0 {
		t.rows[i] = at(t.A0, i*t.RowA)
	}
	for i := range rows1 {
		t.rows[rows0+i] = at(t.A1, i*t.RowA)
	}
	t.wide(tilesNEON[rows0+rows1-1], rows0+rows1, cols, 16)
}
