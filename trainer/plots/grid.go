package plots

import (
	"image"
	"image/color"
	"image/draw"
	"math"

	xdraw "golang.org/x/image/draw"
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

// mostPixels is the number of pixels, of eight bytes each while they are drawn, above
// which a grid is drawn at a scale of 1, so that one of thousands of cells fits in memory.
const mostPixels = 12e6

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
	band int // the number of rows after which there is a wider gap; 0 for none
}

// PNG draws the grid.
func (g Grid) PNG() ([]byte, error) {
	scale := Scale
	l := g.layout(scale)
	if l.width*l.height > mostPixels {
		scale = 1
		l = g.layout(scale)
	}
	c := newCanvas(l.points(l.width), l.points(l.height), scale)
	picture := c.image.Image()
	g.header.draw(c.Canvas)
	for i, cell := range g.Cells {
		place := l.places[i]
		if cell.Image != nil {
			place = within(place, cell.Image.Bounds().Size())
		}
		if cell.Frame != nil {
			draw.Draw(picture, place.Inset(-gridFrame*scale), image.NewUniform(cell.Frame), image.Point{}, draw.Src)
		}
		if cell.Image != nil {
			enlarge(picture, place, cell.Image)
		}
		l.write(c.Canvas, l.places[i], l.captions[i])
	}
	return c.png()
}

// gridLayout holds the positions of a grid's parts, in pixels.
type gridLayout struct {
	scale, width, height int
	places               []image.Rectangle // that the cells' images fill, or lie in if they are tall
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
	height := g.imageHeight(cell)
	for first := 0; first < len(g.Cells); first += g.Columns {
		lines := 0
		for i, c := range g.Cells[first:min(first+g.Columns, len(g.Cells))] {
			x := left + i*(cell+space)
			l.places = append(l.places, image.Rect(x, y, x+cell, y+height))
			var caption []string
			if c.Caption != "" {
				caption = wrapped(c.Caption, l.points(cell+space/2), captionStyle)
			}
			l.captions = append(l.captions, caption)
			lines = max(lines, len(caption))
		}
		y += height + l.pixels(vg.Length(lines)*lineHeight(captionStyle)) + space
		if row := first/g.Columns + 1; g.band > 0 && row%g.band == 0 && first+g.Columns < len(g.Cells) {
			y += 2 * space
		}
	}
	l.height = y - space + left
	return l
}

// imageHeight returns the height of places that are a cell wide: less than that if all
// images are wider than high.
func (g Grid) imageHeight(cell int) int {
	height := 0
	for _, c := range g.Cells {
		if c.Image != nil {
			height = max(height, within(image.Rect(0, 0, cell, cell), c.Image.Bounds().Size()).Dy())
		}
	}
	if height == 0 {
		return cell
	}
	return height
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

// within returns the largest rectangle in the middle of a place that has the proportions
// of an image.
func within(place image.Rectangle, size image.Point) image.Rectangle {
	w, h := place.Dx(), place.Dy()
	if fit := max(1, w*size.Y/size.X); fit <= h {
		h = fit
	} else {
		w = max(1, h*size.X/size.Y)
	}
	corner := place.Min.Add(image.Pt((place.Dx()-w)/2, (place.Dy()-h)/2))
	return image.Rectangle{Min: corner, Max: corner.Add(image.Pt(w, h))}
}

// enlarge fills a rectangle with an image: each pixel of the image becomes a rectangle.
// An image with more pixels is smoothed, because it would lose lines.
func enlarge(picture draw.Image, place image.Rectangle, cell image.Image) {
	var scaler xdraw.Scaler = xdraw.NearestNeighbor
	if size := cell.Bounds().Size(); size.X > place.Dx() || size.Y > place.Dy() {
		scaler = xdraw.CatmullRom
	}
	scaler.Scale(picture, place, cell, cell.Bounds(), draw.Src, nil)
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
