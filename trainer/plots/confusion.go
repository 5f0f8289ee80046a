package plots

import (
	"cmp"
	"fmt"
	"image/color"
	"math"
	"slices"
	"strconv"
	"strings"

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
// number of images, and their share of the true class, as far as there is room. Right
// answers and mistakes have separate colour scales, so that the diagonal does not wash
// out the mistakes. names are those of the classes.
func ConfusionMatrix(counts [][]int, names []string) ([]byte, error) {
	m := matrix(counts)
	names = ClassLabels(names)
	h := header{title: "Confusion matrix", note: m.note(names)}
	extra := m.side() - usualSide
	width, height := 22*vg.Centimeter+extra, 18*vg.Centimeter+extra
	c := newCanvas(width, height+h.height(width-2*margin), Scale)
	rest := h.draw(c.Canvas)
	const bars = 2.3 * vg.Centimeter
	m.plot(names).Draw(draw.Crop(rest, 0, -bars-.6*vg.Centimeter, 0, 0))
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

// usualSide is about the side of the matrix of ten classes, without its labels.
const usualSide = 15 * vg.Centimeter

// side returns about the side of the matrix: less for few classes, and for many as much
// as their counts need, up to the number of classes whose counts are shown.
func (m matrix) side() vg.Length {
	switch n := vg.Length(len(m)); {
	case len(m) < 8:
		return max(8*vg.Centimeter, n*usualSide/8)
	default:
		return max(usualSide, min(n, cellText)*.75*vg.Centimeter)
	}
}

// plot returns the matrix with its labels.
func (m matrix) plot(labels []string) *plot.Plot {
	p := newAxes("", "predicted class", "true class")
	p.Add(m)
	labels, size := crowded(labels, m.side()/vg.Length(len(m)))
	if len(m) > shareText {
		labels = apart(labels, longestOfMany)
	}
	setNames(&p.Y, reversed(labels))
	end := float64(len(m)) - .5
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = -.5, end, -.5, end
	p.X.Tick.Label.Font.Size, p.Y.Tick.Label.Font.Size = size, size
	turn(&p.X, labels, m.side()/vg.Length(len(m)))
	setNames(&p.X, labels)
	p.X.LineStyle.Width, p.Y.LineStyle.Width = 0, 0
	return p
}

// reversed returns the list from its end.
func reversed(list []string) []string {
	list = slices.Clone(list)
	slices.Reverse(list)
	return list
}

// turn turns the labels under an axis as far as they need to fit into the length that
// each has.
func turn(axis *plot.Axis, labels []string, length vg.Length) {
	style := &axis.Tick.Label
	var widest vg.Length
	for _, label := range labels {
		widest = max(widest, style.Width(label))
	}
	slanted := vg.Length(math.Sin(math.Pi/5)) * length
	switch {
	case widest < .9*length:
		axis.Padding = vg.Points(4)
	case lineHeight(*style) < slanted:
		style.Rotation, style.XAlign, style.YAlign = math.Pi/5, draw.XRight, draw.YTop
	default: // upright
		style.Rotation, style.XAlign, style.YAlign = math.Pi/2, draw.XRight, draw.YCenter
		axis.Padding = vg.Points(4)
	}
}

// longestOfMany is the largest number of characters of a class's label where there are
// many.
const longestOfMany = 24

// note explains the matrix and, if it has no room for counts, lists the most frequent
// mistakes.
func (m matrix) note(labels []string) string {
	const colours = " Blue: right; orange: mistakes, on a logarithmic scale."
	switch {
	case len(m) <= shareText:
		return "Images, and their share of the true class." + colours
	case len(m) <= cellText:
		return "Images; colours show their share of the true class." + colours
	}
	note := "Colours show the share of the true class's images." + colours
	type cell struct{ row, column int }
	var mistakes []cell
	for r, row := range m {
		for k, n := range row {
			if r != k && n > 0 {
				mistakes = append(mistakes, cell{r, k})
			}
		}
	}
	slices.SortStableFunc(mistakes, func(a, b cell) int { return cmp.Compare(m[b.row][b.column], m[a.row][a.column]) })
	var list []string
	for _, at := range mistakes[:min(5, len(mistakes))] {
		list = append(list, fmt.Sprintf("%s taken for %s (%s)", shortened(labels[at.row], longestOfMany), shortened(labels[at.column], longestOfMany), humanize.Comma(int64(m[at.row][at.column]))))
	}
	if len(list) > 0 {
		note += " Most frequent: " + strings.Join(list, ", ") + "."
	}
	return note
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
	m.guides(c, x, y)
	line := min(.5, (x(1)-x(0))/20) // half the space between cells
	for r, row := range m {
		total := 0
		for _, n := range row {
			total += n
		}
		for k, n := range row {
			if n == 0 && r != k {
				continue
			}
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
			c.FillPolygon(shade, []vg.Point{{X: left + line, Y: low + line}, {X: right - line, Y: low + line},
				{X: right - line, Y: high - line}, {X: left + line, Y: high - line}})
			if n > 0 || r == k && total > 0 {
				m.write(c, vg.Point{X: (left + right) / 2, Y: (low + high) / 2}, n, share, shade)
			}
		}
	}
}

// guides draws a line at every tenth class, by which the cells' labels are found, where
// the cells show no counts.
func (m matrix) guides(c draw.Canvas, x, y func(float64) vg.Length) {
	if len(m) <= cellText {
		return
	}
	end := float64(len(m)) - .5
	style := draw.LineStyle{Color: faint, Width: thinWidth}
	for i := 0; i <= len(m); i += 10 {
		at := float64(i) - .5
		c.StrokeLine2(style, x(at), y(-.5), x(at), y(end))
		c.StrokeLine2(style, x(-.5), y(end-.5-at), x(end), y(end-.5-at))
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
		count.Font.Size = max(6.5, labelSize*shareText/vg.Length(len(m)))
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
