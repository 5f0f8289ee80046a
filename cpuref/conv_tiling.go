package cpuref

import (
	"github.com/fmnist-gpu/fmnist-gpu/cpuref/internal/simd"
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// tiling splits images into blocks of tiles of Winograd's algorithm: several whole
// images, or rows of tiles of one image.
type tiling struct {
	f            *simd.Winograd
	images, h, w int
	perBlock     int // images
	parts        int // blocks per image
}

// newTiling returns a tiling with at most elements in a block, if a row of tiles
// with the given number of channels at each point allows it, and in the wanted
// number of blocks or more if there are enough tiles.
func newTiling(f *simd.Winograd, images kernels.Tensor, channels, elements, wanted int) tiling {
	t := tiling{f: f, images: images.Shape[0], h: images.Shape[1], w: images.Shape[2], parts: 1}
	tiles := max(1, elements/(f.Points()*channels)) // of a block
	perImage := t.tileRows() * t.tileCols()
	t.perBlock = max(1, min(tiles/perImage, t.images/wanted))
	if t.perBlock == 1 {
		t.parts = min(t.tileRows(), max((perImage+tiles-1)/tiles, (wanted+t.images-1)/t.images))
	}
	return t
}

func (t *tiling) tileRows() int { return (t.h + t.f.Outputs - 1) / t.f.Outputs }
func (t *tiling) tileCols() int { return (t.w + t.f.Outputs - 1) / t.f.Outputs }
func (t *tiling) blocks() int   { return (t.images + t.perBlock - 1) / t.perBlock * t.parts }

// maxRows returns the number of rows of tiles of an image in the largest block.
func (t *tiling) maxRows() int { return (t.tileRows() + t.parts - 1) / t.parts }

// maxTiles returns the number of tiles of the largest block.
func (t *tiling) maxTiles() int { return t.perBlock * t.maxRows() * t.tileCols() }

// frameSize returns the length of the scratch of transformInput.
func (t *tiling) frameSize(c int) int {
	overlap := t.f.Taps - 1
	return (t.f.Outputs*t.maxRows() + overlap) * (t.f.Outputs*t.tileCols() + overlap) * c
}

// tileBlock is a block of tiles. If the tiles' extent does not divide the images',
// only a part of the last tiles lies inside. The points at which such a tile needs no
// product are the last along that axis, so the tiles are in an order in which those
// that need a point are consecutive: the partial tiles in the corners, the others in
// the last row, whole tiles, the others in the last column.
type tileBlock struct {
	f             *simd.Winograd
	h, w          int // of an image
	first, images int
	top           int // row of tiles of an image
	rows, restRow int // whole rows of tiles from there on, and rows of pixels in a partial row after them
	cols, restCol int
}

// block returns block i.
func (t *tiling) block(i int) tileBlock {
	first := i / t.parts * t.perBlock
	top, bottom := chunk(t.tileRows(), t.parts, i%t.parts)
	m := t.f.Outputs
	b := tileBlock{f: t.f, h: t.h, w: t.w, first: first, images: min(t.perBlock, t.images-first),
		top: top, rows: bottom - top, cols: t.w / m, restCol: t.w % m}
	if m*bottom > t.h {
		b.rows, b.restRow = b.rows-1, t.h%m
	}
	return b
}

// pixelRows returns the number of rows of pixels that the tiles cover in an image.
func (b *tileBlock) pixelRows() int { return b.f.Outputs*b.rows + b.restRow }

// rowsOf returns the rows that the tiles cover, of all the block's images of c channels.
func (b *tileBlock) rowsOf(images []float32, c int) []float32 {
	row, top := b.w*c, b.f.Outputs*b.top
	return images[(b.first*b.h+top)*row : ((b.first+b.images-1)*b.h+top+b.pixelRows())*row]
}

// tileRows and tileCols return the number of tiles of an image along each axis.
func (b *tileBlock) tileRows() int { return b.rows + min(1, b.restRow) }
func (b *tileBlock) tileCols() int { return b.cols + min(1, b.restCol) }

// lastRows returns the positions of the first tile in a partial row, after the
// corners, and of the first whole tile; wholeEnd that after the last whole tile.
func (b *tileBlock) lastRows() (first, end int) {
	first = b.images * min(1, b.restRow*b.restCol)
	return first, first + b.images*min(1, b.restRow)*b.cols
}

func (b *tileBlock) wholeEnd() int {
	_, whole := b.lastRows()
	return whole + b.images*b.rows*b.cols
}

func (b *tileBlock) tiles() int { return b.images * b.tileRows() * b.tileCols() }

// position returns the positions of the first tile of row r of image n and of the
// partial tile at its end.
func (b *tileBlock) position(n, r int) (first, last int) {
	lastRows, whole := b.lastRows()
	if r == b.rows {
		return lastRows + n*b.cols, n
	}
	return whole + (n*b.rows+r)*b.cols, b.wholeEnd() + n*b.rows + r
}

// needed returns the positions of the tiles that need the products of the point in
// row i and column j.
func (b *tileBlock) needed(i, j int) (from, end int) {
	lastRows, whole := b.lastRows()
	end = b.tiles()
	last := b.f.Extent() - 1
	if j == last {
		from, end = lastRows, b.wholeEnd()
	}
	if i == last {
		from = whole
	}
	return from, end
}

// pointTiles are the tiles that need the products of a point.
type pointTiles struct {
	from, end int // positions
	rows      simd.RowSplit
}

// pointTiles returns the tiles for all points: [1] is of those in the last row, [][1] of
// those in the last column.
func (b *tileBlock) pointTiles(k *simd.Kernels) (points [2][2]pointTiles) {
	last := b.f.Extent() - 1
	for i := range points {
		for j := range points[i] {
			p := &points[i][j]
			p.from, p.end = b.needed(i*last, j*last)
			if p.from < p.end {
				p.rows = k.SplitRows(p.end - p.from)
			}
		}
	}
	return points
}

// transformInput computes the points of image n of a block of images of c
// channels, inside a border of zeros.
func (b *tileBlock) transformInput(points, framed, images []float32, n, c, distance int) {
	m, pad := b.f.Outputs, b.f.Taps/2
	above, rows := m*b.top-pad, m*b.tileRows()+2*pad // rows of the image that the tiles meet
	from, to := max(0, above), min(b.h, above+rows)
	f := frame{h: to - from, w: b.w, c: c, fh: rows, fw: m*b.tileCols() + 2*pad, top: from - above, left: pad}
	row := b.w * c
	f.fill(framed, images[(b.first+n)*b.h*row:][from*row:to*row])
	for r := range b.tileRows() {
		tile, last := b.position(n, r)
		line := framed[m*r*f.fw*c:]
		if b.cols > 0 {
			b.f.Input(points[tile*c:], line, b.cols, c, f.fw*c, distance)
		}
		if b.restCol > 0 {
			b.f.Input(points[last*c:], line[m*b.cols*c:], 1, c, f.fw*c, distance)
		}
	}
}
