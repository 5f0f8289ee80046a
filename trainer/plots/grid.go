package plots

import (
	"bytes"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"strings"

	"golang.org/x/image/font"
	"golang.org/x/image/font/basicfont"
	"golang.org/x/image/math/fixed"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
)

// How Grid draws, in pixels.
const (
	gridCell   = 4 * dataset.ImageSize
	gridMargin = 6
	gridLine   = 14 // from one line of a caption to the next
	gridFrame  = 3  // the width of a cell's frame, outside its image
)

// GridCaption is the number of characters of a caption's line that fit under
// an image in [Grid].
const GridCaption = (gridCell + gridMargin) / 7 // basicfont's glyphs are 7 wide

// Cell is a picture of a [Grid].
type Cell struct {
	Image   image.Image // of any size; nil leaves the place empty
	Caption string      // ASCII text of one or more lines
	Frame   color.Color // nil for none
}

// Gray returns one image of the dataset, (28, 28).
func Gray(pixels []byte) *image.Gray {
	return &image.Gray{Pix: pixels, Stride: dataset.ImageSize, Rect: image.Rect(0, 0, dataset.ImageSize, dataset.ImageSize)}
}

// Grid draws cells row by row into the given number of columns, each image
// enlarged over its caption, and returns the picture as PNG.
func Grid(cells []Cell, columns int) ([]byte, error) {
	lines := 0
	for _, c := range cells {
		if c.Caption != "" {
			lines = max(lines, 1+strings.Count(c.Caption, "\n"))
		}
	}
	cellHeight := gridCell + lines*gridLine + gridMargin
	rows := (len(cells) + columns - 1) / columns
	picture := image.NewRGBA(image.Rect(0, 0, columns*(gridCell+gridMargin)+gridMargin, rows*cellHeight+gridMargin))
	draw.Draw(picture, picture.Bounds(), image.White, image.Point{}, draw.Src)
	for i, cell := range cells {
		x, y := gridMargin+i%columns*(gridCell+gridMargin), gridMargin+i/columns*cellHeight
		place := image.Rect(x, y, x+gridCell, y+gridCell)
		if cell.Frame != nil {
			draw.Draw(picture, place.Inset(-gridFrame), image.NewUniform(cell.Frame), image.Point{}, draw.Src)
		}
		if cell.Image != nil {
			enlarge(picture, place, cell.Image)
		}
		write(picture, x, y+gridCell, cell.Caption)
	}
	var b bytes.Buffer
	err := png.Encode(&b, picture)
	return b.Bytes(), err
}

// enlarge fills a square with an image, each of whose pixels stays a rectangle.
func enlarge(picture *image.RGBA, place image.Rectangle, cell image.Image) {
	from, size := cell.Bounds().Min, cell.Bounds().Size()
	for dy := range place.Dy() {
		for dx := range place.Dx() {
			picture.Set(place.Min.X+dx, place.Min.Y+dy, cell.At(from.X+dx*size.X/place.Dx(), from.Y+dy*size.Y/place.Dy()))
		}
	}
}

// write draws text centred under a cell whose bottom left corner is (x, y).
func write(picture draw.Image, x, y int, text string) {
	drawer := font.Drawer{Dst: picture, Src: image.Black, Face: basicfont.Face7x13}
	for i, line := range strings.Split(text, "\n") {
		indent := (gridCell - drawer.MeasureString(line).Ceil()) / 2
		drawer.Dot = fixed.P(x+indent, y+(i+1)*gridLine-2)
		drawer.DrawString(line)
	}
}
