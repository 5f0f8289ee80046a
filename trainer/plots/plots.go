// Package plots draws what a run has measured, as PNG: readable at a glance,
// in colours that colour-blind people can tell apart, every axis named.
package plots

import (
	"bytes"
	"fmt"
	"image/color"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/metrics"
)

// classColours are Paul Tol's muted scheme and black
// (https://personal.sron.nl/~pault/), one a class.
var classColours = [metrics.Classes]color.Color{
	rgb(0xCC6677), rgb(0x332288), rgb(0xDDCC77), rgb(0x117733), rgb(0x88CCEE),
	rgb(0x882255), rgb(0x44AA99), rgb(0x999933), rgb(0xAA4499), rgb(0x000000),
}

// The two lines of a curve, Okabe and Ito's blue and vermilion.
var (
	trainColour = rgb(0x0072B2)
	valColour   = rgb(0xD55E00)
)

func rgb(hex uint32) color.Color {
	return color.NRGBA{uint8(hex >> 16), uint8(hex >> 8), uint8(hex), 255}
}

// lineWidth is that of every curve.
const lineWidth = 1.5 * vg.Millimeter / 2

// Epoch is a point of the curves.
type Epoch struct {
	TrainLoss, ValLoss         float64
	TrainAccuracy, ValAccuracy float64 // fractions
}

// Curves draws loss and accuracy by epoch, in training and on the images that
// select the best epoch, which are called selected ("val", "test"). best is the
// number of the best epoch, from 1.
func Curves(epochs []Epoch, selected string, best int) ([]byte, error) {
	points := func(value func(Epoch) float64) plotter.XYs {
		var xy plotter.XYs
		for i, e := range epochs {
			xy = appendFinite(xy, float64(i+1), value(e))
		}
		return xy
	}
	loss, accuracy := newPlot("Loss", "epoch", "mean cross-entropy"), newPlot("Accuracy", "epoch", "% of images")
	accuracy.Legend.Top = false
	if err := addCurves(loss, selected, points(func(e Epoch) float64 { return e.TrainLoss }), points(func(e Epoch) float64 { return e.ValLoss }), best); err != nil {
		return nil, err
	}
	if err := addCurves(accuracy, selected, points(func(e Epoch) float64 { return 100 * e.TrainAccuracy }),
		points(func(e Epoch) float64 { return 100 * e.ValAccuracy }), best); err != nil {
		return nil, err
	}
	return encode(24*vg.Centimeter, 10*vg.Centimeter, loss, accuracy)
}

// addCurves adds the two lines, with a point at the best epoch.
func addCurves(p *plot.Plot, selected string, train, val plotter.XYs, best int) error {
	for _, l := range []struct {
		name   string
		xy     plotter.XYs
		colour color.Color
		dashes []vg.Length
	}{{"training", train, trainColour, []vg.Length{vg.Points(5), vg.Points(3)}}, {selected, val, valColour, nil}} {
		if len(l.xy) == 0 {
			continue // never evaluated
		}
		line, err := plotter.NewLine(l.xy)
		if err != nil {
			return err
		}
		line.Color, line.Width, line.Dashes = l.colour, lineWidth, l.dashes
		p.Add(line)
		p.Legend.Add(l.name, line)
	}
	if best >= 1 && best <= len(val) && len(val) == len(train) {
		dot, err := plotter.NewScatter(val[best-1 : best])
		if err != nil {
			return err
		}
		dot.Color, dot.Shape, dot.Radius = valColour, draw.CircleGlyph{}, vg.Points(4)
		p.Add(dot)
		p.Legend.Add("best epoch", dot)
	}
	p.X.Tick.Marker = wholeTicks(len(train))
	return nil
}

// wholeTicks marks some ten of the epochs.
func wholeTicks(n int) plot.ConstantTicks {
	var ticks plot.ConstantTicks
	for i := 1; i <= n; i += max(1, n/10) {
		ticks = append(ticks, plot.Tick{Value: float64(i), Label: strconv.Itoa(i)})
	}
	return ticks
}

// newPlot returns an empty plot with a grid.
func newPlot(title, x, y string) *plot.Plot {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = title, x, y
	p.Title.TextStyle.Font.Size = vg.Points(14)
	p.Legend.Top, p.Legend.Padding = true, vg.Points(3)
	p.Add(plotter.NewGrid())
	return p
}

// encode draws plots side by side.
func encode(width, height vg.Length, plots ...*plot.Plot) ([]byte, error) {
	canvas := vgimg.PngCanvas{Canvas: vgimg.NewWith(vgimg.UseWH(width, height), vgimg.UseDPI(110), vgimg.UseBackgroundColor(color.White))}
	tiles := draw.Tiles{Rows: 1, Cols: len(plots), PadX: vg.Centimeter, PadTop: vg.Points(6), PadBottom: vg.Points(6), PadLeft: vg.Points(6), PadRight: vg.Points(10)}
	for i, row := range plot.Align([][]*plot.Plot{plots}, tiles, draw.New(canvas))[0] {
		plots[i].Draw(row)
	}
	var b bytes.Buffer
	if _, err := canvas.WriteTo(&b); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// ConfusionMatrix draws the matrix twice: images, and the share of each true
// class.
func ConfusionMatrix(counts [metrics.Classes][metrics.Classes]int) ([]byte, error) {
	images, share := newMatrix("Images"), newMatrix("% of the true class")
	var inShares matrix
	for r, row := range counts {
		total := 0
		for _, n := range row {
			total += n
		}
		for c, n := range row {
			inShares[r][c] = 100 * float64(n) / float64(max(total, 1))
		}
	}
	if err := addCells(images, inShares, func(r, c int) string { return strconv.Itoa(counts[r][c]) }); err != nil {
		return nil, err
	}
	if err := addCells(share, inShares, func(r, c int) string { return fmt.Sprintf("%.1f", inShares[r][c]) }); err != nil {
		return nil, err
	}
	return encode(30*vg.Centimeter, 16*vg.Centimeter, images, share)
}

// matrix is a grid of percentages, rows true classes, for a heat map whose
// first row is at the top.
type matrix [metrics.Classes][metrics.Classes]float64

func (m matrix) Dims() (c, r int)   { return metrics.Classes, metrics.Classes }
func (m matrix) X(c int) float64    { return float64(c) }
func (m matrix) Y(r int) float64    { return float64(r) }
func (m matrix) Z(c, r int) float64 { return m[metrics.Classes-1-r][c] }

// blues is a scale from white to dark blue.
type blues struct{}

func (blues) Colors() []color.Color {
	const steps = 101
	var scale []color.Color
	for i := range steps {
		part := float64(i) / (steps - 1)
		mix := func(from, to float64) uint8 { return uint8(from + (to-from)*part) }
		scale = append(scale, color.NRGBA{mix(255, 8), mix(255, 48), mix(255, 107), 255})
	}
	return scale
}

func newMatrix(title string) *plot.Plot {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = title, "predicted", "true"
	p.Title.TextStyle.Font.Size = vg.Points(14)
	var x, y plot.ConstantTicks
	for c, name := range dataset.ClassNames {
		x = append(x, plot.Tick{Value: float64(c), Label: name})
		y = append(y, plot.Tick{Value: float64(metrics.Classes - 1 - c), Label: name})
	}
	p.X.Tick.Marker, p.Y.Tick.Marker = x, y
	p.X.Tick.Label.Rotation = .7
	p.X.Tick.Label.XAlign, p.X.Tick.Label.YAlign = draw.XRight, draw.YCenter
	return p
}

// addCells adds the heat map and a text in every cell, white on dark.
func addCells(p *plot.Plot, m matrix, label func(r, c int) string) error {
	heat := plotter.NewHeatMap(m, blues{})
	heat.Min, heat.Max = 0, 100
	p.Add(heat)
	var xy plotter.XYs
	var words []string
	var styles []text.Style
	for r := range metrics.Classes {
		for c := range metrics.Classes {
			colour := color.Color(color.Black)
			if m[r][c] > 50 {
				colour = color.White
			}
			xy = append(xy, plotter.XY{X: float64(c), Y: float64(metrics.Classes - 1 - r)})
			words = append(words, label(r, c))
			styles = append(styles, text.Style{Color: colour, Font: font.From(plot.DefaultFont, vg.Points(8)),
				XAlign: draw.XCenter, YAlign: draw.YCenter, Handler: plot.DefaultTextHandler})
		}
	}
	labels, err := plotter.NewLabels(plotter.XYLabels{XYs: xy, Labels: words})
	if err != nil {
		return err
	}
	labels.TextStyle = styles
	p.Add(labels)
	return nil
}

// ROC draws the receiver operating characteristic of each class against all
// others; the arguments are as of [metrics.Compute]. False positives end at
// 20 %, where all classes but bad ones have long reached the top.
func ROC(labels []byte, probabilities []float32) ([]byte, error) {
	p := newPlot("ROC, each class against all others", "false positives, % of the other classes' images", "true positives, % of the class's images")
	p.Legend.Top, p.Legend.Left = false, false
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = 0, 20, 0, 100
	for c, name := range dataset.ClassNames {
		falsePositive, truePositive := metrics.ROC(labels, probabilities, c)
		var xy plotter.XYs
		for i := range falsePositive {
			if 100*falsePositive[i] > p.X.Max {
				xy = append(xy, plotter.XY{X: p.X.Max, Y: 100 * truePositive[i]})
				break
			}
			xy = append(xy, plotter.XY{X: 100 * falsePositive[i], Y: 100 * truePositive[i]})
		}
		if len(xy) == 0 {
			continue // the class does not occur
		}
		line, err := plotter.NewLine(xy)
		if err != nil {
			return nil, err
		}
		line.Color, line.Width = classColours[c], lineWidth
		if c%2 == 1 {
			line.Dashes = []vg.Length{vg.Points(5), vg.Points(3)}
		}
		p.Add(line)
		p.Legend.Add(fmt.Sprintf("%s, AUC %.4f", name, metrics.AUC(labels, probabilities, c)), line)
	}
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = 0, 20, 0, 100
	return encode(18*vg.Centimeter, 15*vg.Centimeter, p)
}
