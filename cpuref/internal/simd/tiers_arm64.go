//go:build !noasm

package simd

// machineTiers returns the NEON tier: every arm64 processor that Go supports has
// NEON. Only its tile uses vector instructions; the other passes are portable.
// It has no mixed precision, because portable code would be slower than float32,
// and no Winograd's convolution, whose portable transforms nobody has measured
// beside its tile.
func machineTiers() []*Kernels {
	k := generic
	k.Name = "neon"
	k.Group, k.Cols = 3, 16
	k.Tile = tileNEON
	k.TilePairs, k.Pair, k.PairRows, k.PairPanels = nil, nil, nil, nil
	k.WinogradFilter, k.WinogradInput, k.WinogradOutput, k.WinogradGradient, k.WinogradWeight = nil, nil, nil, nil, nil
	return []*Kernels{&k}
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
	t.wide(tilesNEON[rows0+rows1-1], rows0+rows1, cols)
}
