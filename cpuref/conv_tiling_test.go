package cpuref

import (
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// The blocks hold every tile of every image once, each block's tiles are at
// different positions, and a point leaves out just the half tiles that do not need
// it.
func TestTiling(t *testing.T) {
	for _, shape := range [][]int{{1, 1, 1, 1}, {5, 2, 3, 4}, {7, 7, 7, 64}, {64, 14, 14, 32}, {3, 57, 30, 64}, {2, 9, 64, 512}} {
		for _, wanted := range []int{1, 8} {
			tiling := newTiling(kernels.Tensor{Shape: shape}, shape[3], winogradElements, wanted)
			rows := make([]int, shape[0]) // of tiles, by image
			for i := range tiling.blocks() {
				b := tiling.block(i)
				checkBlock(t, &b)
				if b.tiles() > tiling.maxTiles() {
					t.Errorf("%v: block %d has %d tiles, more than %d", shape, i, b.tiles(), tiling.maxTiles())
				}
				for n := range b.images {
					if rows[b.first+n] != b.top {
						t.Errorf("%v: block %d starts at row %d of image %d, want %d", shape, i, b.top, b.first+n, rows[b.first+n])
					}
					rows[b.first+n] += b.rows + b.halfRow
				}
			}
			for n, got := range rows {
				if want := (shape[1] + 1) / 2; got != want {
					t.Errorf("%v: the blocks hold %d rows of tiles of image %d, want %d", shape, got, n, want)
				}
			}
		}
	}
}

func checkBlock(t *testing.T, b *tileBlock) {
	t.Helper()
	seen := make([]bool, b.tiles())
	place := func(tile int, below, beyond bool) { // half of the tile is below the image, or beyond its right edge
		if seen[tile] {
			t.Errorf("%+v: two tiles at position %d", *b, tile)
		}
		seen[tile] = true
		for point := range winogradPoints {
			from, end := b.needed(point)
			want := !(below && point/4 == 3) && !(beyond && point%4 == 3)
			if got := tile >= from && tile < end; got != want {
				t.Errorf("%+v: point %d of tile %d is needed: %t, want %t", *b, point, tile, got, want)
			}
		}
	}
	for n := range b.images {
		for r := range b.rows + b.halfRow {
			first, half := b.position(n, r)
			for i := range b.cols {
				place(first+i, r == b.rows, false)
			}
			if b.halfCol > 0 {
				place(half, r == b.rows, true)
			}
		}
	}
	for tile, ok := range seen {
		if !ok {
			t.Errorf("%+v: no tile at position %d", *b, tile)
		}
	}
}
