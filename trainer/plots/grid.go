package plots

import (
	"image"
	"image/color"
	"image/draw"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	vgdraw "gonum.org/v1/plot/vg/draw"
)

// How a grid is drawn, in pixels at a scale of 1.
const (
	gridCell  = 112
	gridGap   = 10
	gridFrame = 3 // the width of a cell's frame, outside its image
)

// manyCells is the number of cells from which on a grid is drawn at a scale of 1, so
// that a picture of thousands of cells fits in memory.
const manyCells = 400

// Cell is one of the pictures of a [Grid].
type Cell struct {
	Image   image.Image // of any size; nil leaves the place empty
	Caption string      // one or more lines, which are wrapped to the cell's width
	Frame   color.Color // nil for none
}

// Grid is a picture of cells, row by row, each image over its caption.
type Grid struct {
	Cells   []Cell
	Columns int

	header
}

// PNG draws the grid.
func (g Grid) PNG() ([]byte, error) {
	scale := Scale
	if len(g.Cells) >= manyCells {
		scale = 1
	}
	l := g.layout(scale)
	c := newCanvas(l.points(l.width), l.points(l.height), scale)
	picture := c.image.Image()
	g.header.draw(c.Canvas)
	for i, cell := range g.Cells {
		place := l.places[i]
		if cell.Frame != nil {
			draw.Draw(picture, place.Inset(-gridFrame*scale), image.NewUniform(cell.Frame), image.Point{}, draw.Src)
		}
		if cell.Image != nil {
			enlarge(picture, place, cell.Image)
		}
		l.write(c.Canvas, place, l.captions[i])
	}
	return c.png()
}

// gridLayout holds the positions of a grid's parts, in pixels.
type gridLayout struct {
	scale, width, height int
	places               []image.Rectangle // of the cells' images
	captions             [][]string        // their lines
}

// captionStyle is the text style of captions, each line centred at its top.
var captionStyle = func() vgdraw.TextStyle {
	style := textStyle(smallSize, ink)
	style.XAlign = vgdraw.XCenter
	return style
}()

func (g Grid) layout(scale int) gridLayout {
	l := gridLayout{scale: scale}
	cell, space := gridCell*scale, gridGap*scale
	left := l.pixels(margin)
	l.width = 2*left + g.Columns*(cell+space) - space
	if g.title != "" {
		l.width = max(l.width, 5*(cell+space)) // room for the words
	}
	y := left
	if g.title != "" {
		y += l.pixels(g.header.height(l.points(l.width - 2*left)))
	}
	for first := 0; first < len(g.Cells); first += g.Columns {
		lines := 0
		for i, c := range g.Cells[first:min(first+g.Columns, len(g.Cells))] {
			x := left + i*(cell+space)
			l.places = append(l.places, image.Rect(x, y, x+cell, y+cell))
			var caption []string
			if c.Caption != "" {
				caption = wrapped(c.Caption, l.points(cell+space/2), captionStyle)
			}
			l.captions = append(l.captions, caption)
			lines = max(lines, len(caption))
		}
		y += cell + l.pixels(vg.Length(lines)*lineHeight(captionStyle)) + space
	}
	l.height = y - space + left
	return l
}

func (l gridLayout) pixels(points vg.Length) int {
	return int(math.Ceil(points.Dots(float64(baseDPI * l.scale))))
}

func (l gridLayout) points(pixels int) vg.Length {
	return vg.Length(pixels) * vg.Inch / vg.Length(baseDPI*l.scale)
}

// write writes a caption under an image.
func (l gridLayout) write(c vgdraw.Canvas, place image.Rectangle, lines []string) {
	x, y := l.points((place.Min.X+place.Max.X)/2), l.points(l.height-place.Max.Y-gridFrame*l.scale)
	for i, line := range lines {
		c.FillText(captionStyle, vg.Point{X: x, Y: y - vg.Length(i)*lineHeight(captionStyle)}, line)
	}
}

// enlarge fills a square with an image; each pixel of the image becomes a rectangle.
func enlarge(picture draw.Image, place image.Rectangle, cell image.Image) {
	from, size := cell.Bounds().Min, cell.Bounds().Size()
	for dy := range place.Dy() {
		for dx := range place.Dx() {
			picture.Set(place.Min.X+dx, place.Min.Y+dy, cell.At(from.X+dx*size.X/place.Dx(), from.Y+dy*size.Y/place.Dy()))
		}
	}
}

// swatch is a sample of a frame's colour in a legend.
type swatch struct{ color.Color }

// Thumbnail implements [plot.Thumbnailer].
func (s swatch) Thumbnail(c *vgdraw.Canvas) {
	c.FillPolygon(s.Color, []vg.Point{c.Min, {X: c.Max.X, Y: c.Min.Y}, c.Max, {X: c.Min.X, Y: c.Max.Y}})
}

// gradient is a sample of a colour scale in a legend, from 0 to 1.
type gradient func(float64) color.Color

// Thumbnail implements [plot.Thumbnailer].
func (g gradient) Thumbnail(c *vgdraw.Canvas) {
	const steps = 24
	for i := range steps {
		left := c.Min.X + c.Size().X*vg.Length(i)/steps
		c.FillPolygon(g((float64(i)+.5)/steps), []vg.Point{{X: left, Y: c.Min.Y}, {X: c.Max.X, Y: c.Min.Y}, c.Max, {X: left, Y: c.Max.Y}})
	}
}

// sample is a legend's entry with one sample.
func sample(name string, t plot.Thumbnailer) entry { return entry{name, []plot.Thumbnailer{t}} }
