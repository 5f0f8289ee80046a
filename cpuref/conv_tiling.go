package cpuref

import (
	"github.com/fmnist-gpu/fmnist-gpu/cpuref/internal/simd"
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// tiling splits images into blocks of 2×2 tiles: several whole images, or rows of
// tiles of one image.
type tiling struct {
	images, h, w int
	perBlock     int // images
	parts        int // blocks per image
}

// newTiling returns a tiling with at most elements in a block, if a row of tiles
// with the given number of channels at each point allows it, and in the wanted
// number of blocks or more if there are enough tiles.
func newTiling(images kernels.Tensor, channels, elements, wanted int) tiling {
	t := tiling{images: images.Shape[0], h: images.Shape[1], w: images.Shape[2], parts: 1}
	tiles := max(1, elements/(winogradPoints*channels)) // of a block
	perImage := t.tileRows() * ((t.w + 1) / 2)
	t.perBlock = max(1, min(tiles/perImage, t.images/wanted))
	if t.perBlock == 1 {
		t.parts = min(t.tileRows(), max((perImage+tiles-1)/tiles, (wanted+t.images-1)/t.images))
	}
	return t
}

func (t *tiling) tileRows() int { return (t.h + 1) / 2 }
func (t *tiling) blocks() int   { return (t.images + t.perBlock - 1) / t.perBlock * t.parts }

// maxRows returns the number of rows of tiles of an image in the largest block.
func (t *tiling) maxRows() int { return (t.tileRows() + t.parts - 1) / t.parts }

// maxTiles returns the number of tiles of the largest block.
func (t *tiling) maxTiles() int { return t.perBlock * t.maxRows() * ((t.w + 1) / 2) }

// frameSize returns the length of the scratch of transformInput.
func (t *tiling) frameSize(c int) int { return (2*t.maxRows() + 2) * (t.w + 3) * c }

// tileBlock is a block of tiles. If the images' extents are odd, the last row and
// the last column are half tiles, of which one row or one column lies inside. The
// points at which half a tile needs no product are the last four along that axis,
// so the tiles are in an order in which those that need a point are consecutive:
// the quarter tiles in the corners, half rows, whole tiles, half columns.
type tileBlock struct {
	h, w          int // of an image
	first, images int
	top           int // row of tiles of an image
	rows, halfRow int // whole rows of tiles from there on; 1 if half a row follows
	cols, halfCol int
}

// block returns block i.
func (t *tiling) block(i int) tileBlock {
	first := i / t.parts * t.perBlock
	top, bottom := chunk(t.tileRows(), t.parts, i%t.parts)
	b := tileBlock{h: t.h, w: t.w, first: first, images: min(t.perBlock, t.images-first),
		top: top, rows: bottom - top, cols: t.w / 2, halfCol: t.w % 2}
	if 2*bottom > t.h {
		b.rows, b.halfRow = b.rows-1, 1
	}
	return b
}

// pixelRows returns the number of rows of pixels that the tiles cover in an image.
func (b *tileBlock) pixelRows() int { return 2*b.rows + b.halfRow }

// halfRows returns the positions of the first half row's first tile and of the
// first whole tile; wholeEnd that after the last whole tile.
func (b *tileBlock) halfRows() (first, end int) {
	first = b.images * b.halfRow * b.halfCol
	return first, first + b.images*b.halfRow*b.cols
}

func (b *tileBlock) wholeEnd() int {
	_, whole := b.halfRows()
	return whole + b.images*b.rows*b.cols
}

func (b *tileBlock) tiles() int { return b.wholeEnd() + b.images*b.rows*b.halfCol }

// position returns the positions of the first tile of row r of image n and of the
// half tile at its end.
func (b *tileBlock) position(n, r int) (first, half int) {
	halfRows, whole := b.halfRows()
	if r == b.rows {
		return halfRows + n*b.cols, n
	}
	return whole + (n*b.rows+r)*b.cols, b.wholeEnd() + n*b.rows + r
}

// needed returns the positions of the tiles that need a point's products.
func (b *tileBlock) needed(point int) (from, end int) {
	halfRows, whole := b.halfRows()
	end = b.tiles()
	if point%4 == 3 {
		from, end = halfRows, b.wholeEnd()
	}
	if point/4 == 3 {
		from = whole
	}
	return from, end
}

// transformInput computes the points of image n of a block of images of c
// channels, inside a border of one zero.
func (b *tileBlock) transformInput(k *simd.Kernels, points, framed, images []float32, n, c, distance int) {
	above, rows := 2*b.top-1, b.rows+b.halfRow // row of the image above the tiles
	from, to := max(0, above), min(b.h, above+2*rows+2)
	f := frame{h: to - from, w: b.w, c: c, fh: 2*rows + 2, fw: 2*(b.cols+b.halfCol) + 2, top: from - above, left: 1}
	row := b.w * c
	f.fill(framed, images[(b.first+n)*b.h*row:][from*row:to*row])
	for r := range rows {
		tile, half := b.position(n, r)
		line := framed[2*r*f.fw*c:]
		if b.cols > 0 {
			k.WinogradInput(points[tile*c:], line, b.cols, c, f.fw*c, distance)
		}
		if b.halfCol > 0 {
			k.WinogradInput(points[half*c:], line[2*b.cols*c:], 1, c, f.fw*c, distance)
		}
	}
}
