package plots

import (
	"fmt"
	"image/color"
	"math"
	"strconv"
	"strings"

	xfont "golang.org/x/image/font"
	"golang.org/x/image/font/sfnt"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Sizes of text and lines. All pictures use one sans-serif family, Liberation Sans
// (with the metrics of Arial and Helvetica).
const (
	titleSize = 13
	labelSize = 10 // of axes and legends
	smallSize = 9  // of ticks, notes and captions

	lineWidth = vg.Length(1.8)
	thinWidth = vg.Length(.8)
)

// Two colours have a meaning: blue is training, or a right answer; orange is the data
// that select the best epoch, or a wrong answer. They are Okabe and Ito's blue and
// vermilion, which colour-blind people can tell apart.
var (
	blue   = rgb(0x0072B2)
	orange = rgb(0xD55E00)
	ink    = rgb(0x1B1F24)
	grey   = rgb(0x6A737D) // for anything but data: notes, reference lines
	faint  = rgb(0xE1E4E8) // for grid lines
)

// SeriesColours are for lines without an order: those of Okabe and Ito's colours that
// have a contrast of 3:1 with white. Dashes distinguish lines of the same colour.
var SeriesColours = []color.Color{rgb(0x0072B2), rgb(0xD55E00), rgb(0x009E73), rgb(0xCC79A7), rgb(0x000000)}

// classColours are for the lines of classes. They lack black, the colour of averages.
var classColours = []color.Color{rgb(0x0072B2), rgb(0xD55E00), rgb(0x009E73), rgb(0xCC79A7), rgb(0x332288)}

// seriesDashes returns the dash pattern of line i, given the number of colours, as
// lengths of ink and gap in points: solid for the first round of colours, then dashes,
// then dots, then both.
func seriesDashes(i, colours int) []float64 {
	patterns := [][]float64{nil, {6, 3}, {1.5, 2.5}, {8, 3, 1.5, 3}}
	return patterns[i/colours%len(patterns)]
}

// seriesStyle is the style of line i.
func seriesStyle(i int, colours []color.Color) draw.LineStyle {
	style := draw.LineStyle{Color: colours[i%len(colours)], Width: lineWidth}
	for _, d := range seriesDashes(i, len(colours)) {
		style.Dashes = append(style.Dashes, vg.Points(d))
	}
	return style
}

func rgb(hex uint32) color.Color {
	return color.NRGBA{uint8(hex >> 16), uint8(hex >> 8), uint8(hex), 255}
}

// withAlpha returns a colour with the given opacity, from 0 to 1.
func withAlpha(c color.Color, alpha float64) color.Color {
	n := color.NRGBAModel.Convert(c).(color.NRGBA)
	n.A = uint8(255 * alpha)
	return n
}

// mix interpolates between two colours: from at part 0, to at part 1.
func mix(from, to color.Color, part float64) color.Color {
	a, b := color.NRGBAModel.Convert(from).(color.NRGBA), color.NRGBAModel.Convert(to).(color.NRGBA)
	channel := func(x, y uint8) uint8 { return uint8(math.Round(float64(x) + (float64(y)-float64(x))*part)) }
	return color.NRGBA{channel(a.R, b.R), channel(a.G, b.G), channel(a.B, b.B), 255}
}

// readable returns the text colour for a background: white or ink, whichever has the
// higher contrast.
func readable(background color.Color) color.Color {
	c := color.NRGBAModel.Convert(background).(color.NRGBA)
	linear := func(v uint8) float64 { return math.Pow((float64(v)/255+.055)/1.055, 2.4) }
	if luminance := .2126*linear(c.R) + .7152*linear(c.G) + .0722*linear(c.B); luminance < .205 {
		return color.White
	}
	return ink
}

// textStyle returns the style of text of a size, anchored at its top left corner.
func textStyle(size vg.Length, c color.Color) text.Style {
	return text.Style{Color: c, Font: font.Font{Typeface: "Liberation", Variant: "Sans", Size: size},
		XAlign: draw.XLeft, YAlign: draw.YTop, Handler: plot.DefaultTextHandler}
}

func titleStyle() text.Style {
	style := textStyle(titleSize, ink)
	style.Font.Weight = xfont.WeightBold
	return style
}

// panelTitleStyle is the style of titles over plots, centred.
func panelTitleStyle() text.Style {
	style := titleStyle()
	style.Font.Size, style.XAlign = labelSize+1, draw.XCenter
	return style
}

// centred anchors text at its middle.
func centred(style text.Style) text.Style {
	style.XAlign, style.YAlign = draw.XCenter, draw.YCenter
	return style
}

// newPlot returns an empty plot with a grid and round numbers on its axes.
func newPlot(title, x, y string) *plot.Plot {
	p := newAxes(title, x, y)
	grid := plotter.NewGrid()
	grid.Horizontal.Color, grid.Vertical.Color = faint, faint
	p.Add(grid)
	return p
}

// newAxes returns an empty plot with round numbers on its axes.
func newAxes(title, x, y string) *plot.Plot {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = title, x, y
	setFont := func(style *text.Style, size vg.Length, c color.Color) {
		f := textStyle(size, c)
		style.Font, style.Color = f.Font, f.Color
	}
	for _, axis := range []*plot.Axis{&p.X, &p.Y} {
		setFont(&axis.Label.TextStyle, labelSize, ink)
		setFont(&axis.Tick.Label, smallSize, ink)
		axis.Label.Padding = vg.Points(3)
		axis.Color, axis.Tick.Color = grey, grey
		axis.Width, axis.Tick.Width = thinWidth, thinWidth
		axis.Padding = 0
		axis.Tick.Marker = roundTicks{}
	}
	return p
}

// setNames labels an axis with names at 0, 1, 2, …
func setNames(axis *plot.Axis, names []string) {
	ticks := make(plot.ConstantTicks, len(names))
	for i, label := range apart(names, longestName) {
		ticks[i] = plot.Tick{Value: float64(i), Label: label}
	}
	axis.Tick.Marker, axis.Tick.Length = ticks, 0
}

// longestName is the largest number of characters of a name on an axis or in a legend;
// longer names would leave no room for the data.
const longestName = 40

// apart returns names of at most n characters or, where it takes more to tell them apart,
// as for the recipes of a grid, up to twice as many.
func apart(names []string, n int) []string {
	labels := make([]string, len(names))
	for longest := n; ; longest += n / 2 {
		named, differ := map[string]string{}, true
		for i, name := range names {
			labels[i] = shortened(name, longest)
			other, taken := named[labels[i]]
			differ = differ && (!taken || other == name)
			named[labels[i]] = name
		}
		if differ || longest >= 2*n {
			return labels
		}
	}
}

// shortened returns at most n characters of a name: its beginning and its end, in which
// similar names differ.
func shortened(name string, n int) string {
	runes := []rune(name)
	if len(runes) <= n {
		return name
	}
	head := (n - 1) * 2 / 3
	return string(runes[:head]) + "…" + string(runes[len(runes)-(n-1-head):])
}

// ClassLabels returns the names of classes as pictures show them: on one line, and
// "class 3" instead of a name with letters that the pictures' font lacks, such as
// Japanese ones, so that classes can still be told apart.
func ClassLabels(names []string) []string {
	labels := make([]string, len(names))
	for c, name := range names {
		labels[c] = ClassLabel(c, name)
	}
	return labels
}

// ClassLabel returns the label of class c; see [ClassLabels].
func ClassLabel(c int, name string) string {
	name = strings.Join(strings.Fields(name), " ")
	style := textStyle(labelSize, ink)
	typeface := font.DefaultCache.Lookup(style.Font, style.Font.Size).Face
	for _, letter := range name {
		var buffer sfnt.Buffer
		if glyph, err := typeface.GlyphIndex(&buffer, letter); err != nil || glyph == 0 {
			return fmt.Sprint("class ", c)
		}
	}
	return name
}

// crowded fits labels into the length of an axis that each has: it returns a smaller
// size of text and, if that is not enough, leaves out all but every so many labels.
func crowded(labels []string, length vg.Length) (fitting []string, size vg.Length) {
	const least = vg.Length(6)
	size = max(least, min(smallSize, length))
	every := int(math.Ceil(float64(size/length) - 1e-9))
	fitting = make([]string, len(labels))
	for i := 0; i < len(labels); i += every {
		fitting[i] = labels[i]
	}
	return fitting, size
}

// roundTicks are three to seven ticks at multiples of 1, 2 or 5 times a power of ten,
// with the decimals needed to tell them apart.
type roundTicks struct {
	whole bool // only at whole numbers
}

// Ticks implements [plot.Ticker].
func (t roundTicks) Ticks(low, high float64) []plot.Tick {
	if !(high > low) || math.IsInf(high-low, 0) {
		return []plot.Tick{{Value: low, Label: strconv.FormatFloat(low, 'g', 4, 64)}}
	}
	values, decimals := RoundTicks(low, high, 7, t.whole)
	var ticks []plot.Tick
	for _, value := range values {
		label := strconv.FormatFloat(value, 'f', decimals, 64)
		if magnitude := max(math.Abs(low), math.Abs(high)); magnitude < 1e-3 || magnitude >= 1e6 {
			label = strconv.FormatFloat(value, 'g', 3, 64)
		}
		ticks = append(ticks, plot.Tick{Value: value, Label: label})
	}
	return ticks
}

// RoundTicks returns the multiples of 1, 2 or 5 times a power of ten from low to high, at most
// about as many as given, and the number of decimals that tells them apart; with whole, only
// whole numbers. Of numbers so large that floats between them are missing, it returns fewer.
func RoundTicks(low, high, most float64, whole bool) (values []float64, decimals int) {
	step, decimals := roundStep((high - low) / most)
	if whole && step < 1 {
		step, decimals = 1, 0
	}
	first := math.Ceil(low/step - 1e-9)
	for i := range int(most) + 2 {
		value := (first+float64(i))*step + 0 // not −0
		if !(value <= high+step*1e-9) || i > 0 && value == values[i-1] {
			break
		}
		values = append(values, value)
	}
	return values, decimals
}

// roundStep returns the smallest step of 1, 2 or 5 times a power of ten that is at least
// the given one, and the number of decimals that it needs.
func roundStep(least float64) (step float64, decimals int) {
	exponent := math.Floor(math.Log10(least))
	for _, digit := range []float64{1, 2, 5, 10} {
		if step = digit * math.Pow(10, exponent); step >= least*(1-1e-9) {
			break
		}
	}
	return step, max(0, -int(math.Floor(math.Log10(step)+1e-9)))
}

// setEpochs makes X an axis of n epochs.
func setEpochs(p *plot.Plot, n int) {
	p.X.Tick.Marker = roundTicks{whole: true}
	p.X.Min, p.X.Max = 1, float64(n)
	if n <= 1 {
		p.X.Min, p.X.Max = .5, 1.5
	}
}
