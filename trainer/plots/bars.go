package plots

import (
	"image/color"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// bars are filled rectangles in a plot.
type bars struct {
	fill    color.Color
	outline color.Color // nil for none
	boxes   []box
}

// box is a rectangle in data coordinates.
type box struct{ left, right, low, high float64 }

// Plot implements [plot.Plotter].
func (b *bars) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	for _, r := range b.boxes {
		b.draw(c, vg.Rectangle{Min: vg.Point{X: x(r.left), Y: y(r.low)}, Max: vg.Point{X: x(r.right), Y: y(r.high)}})
	}
}

// DataRange implements [plot.DataRanger].
func (b *bars) DataRange() (xmin, xmax, ymin, ymax float64) {
	for i, r := range b.boxes {
		if i == 0 {
			xmin, xmax, ymin, ymax = r.left, r.right, r.low, r.high
		}
		xmin, xmax, ymin, ymax = min(xmin, r.left), max(xmax, r.right), min(ymin, r.low), max(ymax, r.high)
	}
	return xmin, xmax, ymin, ymax
}

// Thumbnail implements [plot.Thumbnailer].
func (b *bars) Thumbnail(c *draw.Canvas) { b.draw(*c, c.Rectangle) }

func (b *bars) draw(c draw.Canvas, r vg.Rectangle) {
	corners := []vg.Point{r.Min, {X: r.Max.X, Y: r.Min.Y}, r.Max, {X: r.Min.X, Y: r.Max.Y}}
	c.FillPolygon(b.fill, corners)
	if b.outline != nil {
		c.StrokeLines(draw.LineStyle{Color: b.outline, Width: thinWidth}, append(corners, corners[0]))
	}
}
