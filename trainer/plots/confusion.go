package plots

import (
	"fmt"
	"image/color"
	"math"
	"strconv"

	"github.com/dustin/go-humanize"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// leastShare is the share of a true class, in per cent, at which the colour scale of
// mistakes begins.
const leastShare = .1

var (
	darkBlue   = rgb(0x08306B)
	lightBlue  = rgb(0xDEEBF7)
	darkOrange = rgb(0x993404)
	paleOrange = rgb(0xFFF3E0)
)

// rightShade is the colour of a cell on the diagonal, by its share in per cent.
func rightShade(share float64) color.Color { return mix(lightBlue, darkBlue, share/100) }

// wrongShade is the colour of a cell of mistakes, by its share in per cent. The scale
// is logarithmic, so that small shares differ visibly too: 0.1 % from none, and 1 %
// from 10 %.
func wrongShade(share float64) color.Color {
	if !(share > 0) {
		return color.White
	}
	part := math.Log(share/leastShare) / math.Log(100/leastShare)
	return mix(paleOrange, darkOrange, max(0, min(1, part)))
}

// ConfusionMatrix draws the matrix, whose rows are true classes: each cell shows its
// number of images, and their share of the true class. Right answers and mistakes have
// separate colour scales, so that the diagonal does not wash out the mistakes. names
// are those of the classes.
func ConfusionMatrix(counts [][]int, names []string) ([]byte, error) {
	m := matrix(counts)
	p := newAxes("", "predicted class", "true class")
	p.Add(m)
	side := len(m)
	setNames(&p.X, names)
	reversed := make([]string, side)
	for i, name := range names {
		reversed[side-1-i] = name
	}
	setNames(&p.Y, reversed)
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = -.5, float64(side)-.5, -.5, float64(side)-.5
	p.X.Tick.Label.Rotation = math.Pi / 5
	p.X.Tick.Label.XAlign, p.X.Tick.Label.YAlign = draw.XRight, draw.YTop
	p.X.LineStyle.Width, p.Y.LineStyle.Width = 0, 0

	h := header{title: "Confusion matrix", note: "Images, and their share of the true class. Blue: right; orange: mistakes, on a logarithmic scale."}
	const width, height = 22 * vg.Centimeter, 18 * vg.Centimeter
	c := newCanvas(width, height+h.height(width-2*margin), Scale)
	rest := h.draw(c.Canvas)
	const bars = 2.3 * vg.Centimeter
	p.Draw(draw.Crop(rest, 0, -bars-.6*vg.Centimeter, 0, 0))
	right := draw.Crop(rest, rest.Size().X-bars, 0, 0, 0)
	middle := (right.Min.Y + right.Max.Y) / 2
	upper, lower := right, right
	upper.Min.Y, lower.Max.Y = middle+.3*vg.Centimeter, middle-.3*vg.Centimeter
	colourBar("right, %", 0, 100, roundTicks{}, rightShade).Draw(upper)
	mistakes := colourBar("mistaken, %", leastShare, 100, shareTicks(), wrongShade)
	mistakes.Y.Scale = plot.LogScale{}
	mistakes.Draw(lower)
	return c.png()
}

// matrix holds numbers of images; rows are true classes, the first at the top.
type matrix [][]int

// cellText is the largest number of classes whose cells have room for counts,
// shareText for shares too.
const (
	cellText  = 40
	shareText = 16
)

// Plot implements [plot.Plotter].
func (m matrix) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	for r, row := range m {
		total := 0
		for _, n := range row {
			total += n
		}
		for k, n := range row {
			share := 100 * float64(n) / float64(max(total, 1))
			shade := wrongShade(share)
			if r == k {
				shade = rightShade(share)
				if total == 0 {
					shade = faint
				}
			}
			bottom := float64(len(m) - 1 - r)
			left, right, low, high := x(float64(k)-.5), x(float64(k)+.5), y(bottom-.5), y(bottom+.5)
			const line = vg.Length(.5) // between cells
			c.FillPolygon(shade, []vg.Point{{X: left + line, Y: low + line}, {X: right - line, Y: low + line},
				{X: right - line, Y: high - line}, {X: left + line, Y: high - line}})
			if n > 0 || r == k && total > 0 {
				m.write(c, vg.Point{X: (left + right) / 2, Y: (low + high) / 2}, n, share, shade)
			}
		}
	}
}

// write writes a cell's count and share at its middle.
func (m matrix) write(c draw.Canvas, at vg.Point, n int, share float64, shade color.Color) {
	if len(m) > cellText {
		return
	}
	colour := readable(shade)
	count, percent := centred(textStyle(labelSize, colour)), centred(textStyle(smallSize-2, colour))
	if len(m) > shareText {
		count.Font.Size = labelSize * shareText / vg.Length(len(m))
		c.FillText(count, at, strconv.Itoa(n))
		return
	}
	c.FillText(count, vg.Point{X: at.X, Y: at.Y + 4.5}, humanize.Comma(int64(n)))
	c.FillText(percent, vg.Point{X: at.X, Y: at.Y - 6}, fmt.Sprintf("%.1f %%", share))
}

// shareTicks are round percentages on a logarithmic scale.
func shareTicks() plot.ConstantTicks {
	var ticks plot.ConstantTicks
	for _, share := range []float64{.1, .2, .5, 1, 2, 5, 10, 20, 50, 100} {
		ticks = append(ticks, plot.Tick{Value: share, Label: fmt.Sprint(share)})
	}
	return ticks
}

// colourBar returns a plot of the colour scale from low to high.
func colourBar(title string, low, high float64, ticks plot.Ticker, shade func(float64) color.Color) *plot.Plot {
	p := newAxes("", "", title)
	p.Add(bar(shade))
	p.HideX()
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = 0, 1, low, high
	p.Y.Tick.Marker = ticks
	return p
}

// bar fills a plot with the colours of the values on its Y axis.
type bar func(float64) color.Color

// Plot implements [plot.Plotter].
func (b bar) Plot(c draw.Canvas, p *plot.Plot) {
	const steps = 64
	_, y := p.Transforms(&c)
	from, to := y(p.Y.Min), y(p.Y.Max)
	for i := range steps {
		// Each step reaches to the top, and the next covers the rest: no seams.
		low := from + (to-from)*vg.Length(i)/steps
		value := b.value(p, (float64(i)+.5)/steps)
		c.FillPolygon(b(value), []vg.Point{{X: c.Min.X, Y: low}, {X: c.Max.X, Y: low}, {X: c.Max.X, Y: to}, {X: c.Min.X, Y: to}})
	}
}

// value returns the value at a fraction, from 0 to 1, of the axis.
func (b bar) value(p *plot.Plot, part float64) float64 {
	if _, ok := p.Y.Scale.(plot.LogScale); ok {
		return p.Y.Min * math.Pow(p.Y.Max/p.Y.Min, part)
	}
	return p.Y.Min + (p.Y.Max-p.Y.Min)*part
}
