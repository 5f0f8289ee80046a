package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/reg"
)

// poolTiles generates the tiles of PoolRow: 1 window of 2×2 pixels and, with AVX-512,
// 2 windows. A window is two neighbouring rows of each group.
func poolTiles(v vector) {
	for windows := 1; windows <= v.registers/16; windows++ {
		for columns := 16; columns <= 2*v.lanes; columns += 16 {
			t := &tile{vector: v, rows0: 2 * windows, rows1: 2 * windows, vectors: columns / v.lanes, pool: true}
			t.function(fmt.Sprintf("tilePool%dx%d", windows, columns), "t *Tile",
				fmt.Sprintf("computes t.Tiles times %d windows and %d columns.", windows, columns))
			t.generatePool()
		}
	}
}

// generatePool generates the loop over a row of tiles.
func (t *tile) generatePool() {
	t.allocate()
	t.eachTile(t.rows0, func() {
		t.clear()
		t.reduce()
	}, t.finishPool)
}

// finishPool normalises the sums and stores the windows' maxima as normalizeReLUPool
// does, and moves c to the next tile.
func (t *tile) finishPool(c reg.GPVirtual) {
	t.addBias(field("t", "Bias"))
	rowC := bytesOf(field("t", "RowC"))
	means, scales, shifts := field("t", "Mean"), field("t", "Scale"), field("t", "Shift")
	zero, mean, scale, shift := t.new(), t.new(), t.new(), t.new()
	VXORPS(zero, zero, zero)
	for j := range t.vectors {
		VMOVUPS(at(means, j*t.bytes()), mean)
		VMOVUPS(at(scales, j*t.bytes()), scale)
		VMOVUPS(at(shifts, j*t.bytes()), shift)
		for _, sums := range t.sum {
			VSUBPS(mean, sums[j], sums[j])
			VFMADD213PS(shift, scale, sums[j])
		}
	}
	for w := range t.rows0 / 2 {
		left, below := t.sum[2*w:], t.sum[t.rows0+2*w:]
		for j, best := range left[0] {
			for _, x := range []reg.Register{left[1][j], below[0][j], below[1][j], zero} {
				VMAXPS(best, x, best) // x if it is greater
			}
			t.store(best, c, j)
		}
		ADDQ(rowC, c)
	}
}
