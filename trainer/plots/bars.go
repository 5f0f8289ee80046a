package plots

import (
	"fmt"
	"image/color"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/metrics"
)

// ClassF1 draws the F1 of every class as a bar, with its value.
func ClassF1(classes []metrics.ClassMetrics) ([]byte, error) {
	p := newPlot("F1 by class", "", "F1")
	values, names := plotter.Values{}, []string{}
	for _, c := range classes {
		values, names = append(values, c.F1), append(names, c.Name)
	}
	bars, err := plotter.NewBarChart(values, vg.Points(34))
	if err != nil {
		return nil, err
	}
	bars.Color, bars.LineStyle.Width = trainColour, 0
	p.Add(bars)
	if err := addBarLabels(p, values, func(v float64) string { return fmt.Sprintf("%.3f", v) }); err != nil {
		return nil, err
	}
	p.NominalX(names...)
	p.Y.Min, p.Y.Max = 0, 1.05
	return encode(24*vg.Centimeter, 10*vg.Centimeter, p)
}

// addBarLabels writes each bar's value above it.
func addBarLabels(p *plot.Plot, values plotter.Values, format func(float64) string) error {
	var xy plotter.XYs
	var words []string
	for i, v := range values {
		xy, words = append(xy, plotter.XY{X: float64(i), Y: v}), append(words, format(v))
	}
	labels, err := plotter.NewLabels(plotter.XYLabels{XYs: xy, Labels: words})
	if err != nil {
		return err
	}
	for i := range labels.TextStyle {
		labels.TextStyle[i].XAlign, labels.TextStyle[i].YAlign = draw.XCenter, draw.YBottom
	}
	labels.Offset.Y = vg.Points(2)
	p.Add(labels)
	return nil
}

// Model is a line of [Models].
type Model struct {
	Name       string
	Accuracies []float64 // fractions, one a seed
	Mean       float64
	Low, High  float64 // interval of the mean; NaN where one seed has none
	Original   float64 // the original's accuracy; 0 where there is none
	Seconds    float64 // of training
}

// Models draws the accuracy of every model, the first at the top: each seed,
// the mean with its interval, and the original's; and beside it the seconds of
// training.
func Models(models []Model) ([]byte, error) {
	accuracy, seconds := newPlot("Test accuracy", "% of the test images", ""), newPlot("Training time", "seconds", "")
	accuracy.Legend.Top, accuracy.Legend.Left = true, true
	for _, add := range []func(*plot.Plot, []Model) error{addSeeds, addMeans, addOriginals} {
		if err := add(accuracy, models); err != nil {
			return nil, err
		}
	}
	values, names := make(plotter.Values, len(models)), make([]string, len(models))
	for i, m := range models {
		values[len(models)-1-i], names[len(models)-1-i] = m.Seconds, m.Name
	}
	bars, err := plotter.NewBarChart(values, vg.Points(14))
	if err != nil {
		return nil, err
	}
	bars.Color, bars.LineStyle.Width, bars.Horizontal = trainColour, 0, true
	seconds.Add(bars)
	seconds.X.Min = 0
	for _, p := range []*plot.Plot{accuracy, seconds} {
		p.NominalY(names...)
		p.Y.Min, p.Y.Max = -.6, float64(len(models))-.4
	}
	return encode(32*vg.Centimeter, vg.Length(4+1.2*float64(len(models)))*vg.Centimeter, accuracy, seconds)
}

// addSeeds draws a faint point for every seed of a model that has several.
func addSeeds(p *plot.Plot, models []Model) error {
	var xy plotter.XYs
	for i, m := range models {
		for _, a := range m.Accuracies {
			if len(m.Accuracies) > 1 {
				xy = append(xy, plotter.XY{X: 100 * a, Y: float64(len(models) - 1 - i)})
			}
		}
	}
	return addPoints(p, "one seed", xy, draw.GlyphStyle{Color: color.NRGBA{0, 0x72, 0xB2, 110}, Radius: vg.Points(3), Shape: draw.CircleGlyph{}})
}

func addOriginals(p *plot.Plot, models []Model) error {
	var xy plotter.XYs
	for i, m := range models {
		if m.Original > 0 {
			xy = append(xy, plotter.XY{X: 100 * m.Original, Y: float64(len(models) - 1 - i)})
		}
	}
	return addPoints(p, "the original", xy, draw.GlyphStyle{Color: valColour, Radius: vg.Points(6), Shape: draw.PyramidGlyph{}})
}

// addMeans draws means as vertical strokes, and their intervals.
func addMeans(p *plot.Plot, models []Model) error {
	var means plotter.XYs
	var intervals struct {
		plotter.XYs
		plotter.XErrors
	}
	for i, m := range models {
		at := plotter.XY{X: 100 * m.Mean, Y: float64(len(models) - 1 - i)}
		means = append(means, at)
		if !math.IsNaN(m.Low) {
			intervals.XYs = append(intervals.XYs, at)
			intervals.XErrors = append(intervals.XErrors, struct{ Low, High float64 }{100 * (m.Mean - m.Low), 100 * (m.High - m.Mean)})
		}
	}
	name := "one run"
	if len(intervals.XYs) > 0 {
		name = "mean, 95 % interval"
		bars, err := plotter.NewXErrorBars(intervals)
		if err != nil {
			return err
		}
		bars.Width, bars.CapWidth = lineWidth, vg.Points(8)
		p.Add(bars)
	}
	return addPoints(p, name, means, draw.GlyphStyle{Color: color.Black, Radius: vg.Points(4), Shape: draw.BoxGlyph{}})
}

func addPoints(p *plot.Plot, name string, xy plotter.XYs, style draw.GlyphStyle) error {
	if len(xy) == 0 {
		return nil
	}
	points, err := plotter.NewScatter(xy)
	if err != nil {
		return err
	}
	points.GlyphStyle = style
	p.Add(points)
	p.Legend.Add(name, points)
	return nil
}

// seriesColours are Okabe and Ito's, for lines that have no order.
var seriesColours = []color.Color{
	rgb(0x0072B2), rgb(0xD55E00), rgb(0x009E73), rgb(0xCC79A7), rgb(0xE69F00), rgb(0x56B4E9), rgb(0x000000),
}

// Series is a run's curve under its name.
type Series struct {
	Name   string
	Epochs []Epoch
}

// LearningRates draws loss and accuracy by epoch on the images that select the
// best epoch, which are called selected, a line for each run.
func LearningRates(runs []Series, selected string) ([]byte, error) {
	loss, accuracy := newPlot("Loss on "+selected, "epoch", "mean cross-entropy"), newPlot("Accuracy on "+selected, "epoch", "% of images")
	accuracy.Legend.Top = false
	for i, r := range runs {
		var losses, accuracies plotter.XYs
		for e, point := range r.Epochs {
			losses = append(losses, plotter.XY{X: float64(e + 1), Y: point.ValLoss})
			accuracies = append(accuracies, plotter.XY{X: float64(e + 1), Y: 100 * point.ValAccuracy})
		}
		for _, on := range []struct {
			p  *plot.Plot
			xy plotter.XYs
		}{{loss, losses}, {accuracy, accuracies}} {
			line, points, err := plotter.NewLinePoints(on.xy)
			if err != nil {
				return nil, err
			}
			line.Color, line.Width = seriesColours[i%len(seriesColours)], lineWidth
			points.Color, points.Shape = line.Color, plotutil.Shape(i)
			on.p.Add(line, points)
			on.p.Legend.Add(r.Name, line, points)
			on.p.X.Tick.Marker = wholeTicks(len(on.xy))
		}
	}
	return encode(24*vg.Centimeter, 10*vg.Centimeter, loss, accuracy)
}
