package dataset

import (
	"image"
	"image/color"
	"image/draw"
	"strings"

	"golang.org/x/image/font"
	"golang.org/x/image/font/basicfont"
	"golang.org/x/image/math/fixed"
)

// How Grid draws, in pixels.
const (
	gridScale  = 3 // a pixel of the dataset is so many squared
	gridCell   = gridScale * ImageSize
	gridMargin = 6
	gridLine   = 14 // from one line of a caption to the next
)

// GridCaption is the number of characters of a caption's line that fit under
// an image in [Grid].
const GridCaption = (gridCell + gridMargin) / 7 // basicfont's glyphs are 7 wide

// Grid draws images, each (28, 28), row by row into the given number of
// columns, each enlarged over its caption. A caption is ASCII text of one or
// more lines; captions may be nil.
func Grid(images [][]byte, captions []string, columns int) *image.Gray {
	lines := 0
	for _, c := range captions {
		lines = max(lines, 1+strings.Count(c, "\n"))
	}
	cellHeight := gridCell + lines*gridLine + gridMargin
	rows := (len(images) + columns - 1) / columns
	picture := image.NewGray(image.Rect(0, 0, columns*(gridCell+gridMargin)+gridMargin, rows*cellHeight+gridMargin))
	draw.Draw(picture, picture.Bounds(), image.White, image.Point{}, draw.Src)
	for i, pixels := range images {
		x, y := gridMargin+i%columns*(gridCell+gridMargin), gridMargin+i/columns*cellHeight
		enlarge(picture, x, y, pixels)
		if i < len(captions) {
			write(picture, x, y+gridCell, captions[i])
		}
	}
	return picture
}

// enlarge draws an image with its top left corner at (x, y).
func enlarge(picture *image.Gray, x, y int, pixels []byte) {
	for dy := range gridCell {
		for dx := range gridCell {
			value := pixels[dy/gridScale*ImageSize+dx/gridScale]
			picture.SetGray(x+dx, y+dy, color.Gray{Y: value})
		}
	}
}

// write draws text centred under a cell whose bottom left corner is (x, y).
func write(picture *image.Gray, x, y int, text string) {
	drawer := font.Drawer{Dst: picture, Src: image.Black, Face: basicfont.Face7x13}
	for i, line := range strings.Split(text, "\n") {
		indent := (gridCell - drawer.MeasureString(line).Ceil()) / 2
		drawer.Dot = fixed.P(x+indent, y+(i+1)*gridLine-2)
		drawer.DrawString(line)
	}
}
