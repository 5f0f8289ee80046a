package cpuref

import (
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/cpuref/internal/simd"
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// The blocks hold every tile of every image once, each block's tiles are at
// different positions, and a point leaves out just the partial tiles that do not
// need it.
func TestTiling(t *testing.T) {
	k := simd.Tiers()[0]
	for _, f := range []*simd.Winograd{&k.Winograd2x3, &k.Winograd4x3, &k.Winograd2x5, &k.Winograd4x5} {
		checkTiling(t, f)
	}
}

func checkTiling(t *testing.T, f *simd.Winograd) {
	t.Helper()
	for _, shape := range [][]int{{1, 1, 1, 1}, {5, 2, 3, 4}, {7, 7, 7, 64}, {64, 14, 14, 32}, {3, 57, 30, 64}, {2, 9, 64, 512}} {
		for _, wanted := range []int{1, 8} {
			tiling := newTiling(f, kernels.Tensor{Shape: shape}, shape[3], leastElements, wanted)
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
					rows[b.first+n] += b.tileRows()
				}
			}
			for n, got := range rows {
				if want := (shape[1] + f.Outputs - 1) / f.Outputs; got != want {
					t.Errorf("%v: the blocks hold %d rows of tiles of image %d, want %d", shape, got, n, want)
				}
			}
		}
	}
}

func checkBlock(t *testing.T, b *tileBlock) {
	t.Helper()
	seen := make([]bool, b.tiles())
	n := b.f.Extent()
	place := func(tile int, below, beyond bool) { // a part of the tile is below the image, or beyond its right edge
		if seen[tile] {
			t.Errorf("%+v: two tiles at position %d", *b, tile)
		}
		seen[tile] = true
		for point := range b.f.Points() {
			from, end := b.needed(point/n, point%n)
			want := !(below && point/n == n-1) && !(beyond && point%n == n-1)
			if got := tile >= from && tile < end; got != want {
				t.Errorf("%+v: point %d of tile %d is needed: %t, want %t", *b, point, tile, got, want)
			}
		}
	}
	for image := range b.images {
		for r := range b.tileRows() {
			first, last := b.position(image, r)
			for i := range b.cols {
				place(first+i, r == b.rows, false)
			}
			if b.restCol > 0 {
				place(last, r == b.rows, true)
			}
		}
	}
	for tile, ok := range seen {
		if !ok {
			t.Errorf("%+v: no tile at position %d", *b, tile)
		}
	}
}
