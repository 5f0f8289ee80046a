package plots

import (
	"fmt"
	"image/color"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
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

// Models draws the test error of every model, the first at the top: each seed,
// the mean with its interval, and the original's; and beside it the seconds of
// training. The error's axis is logarithmic: models that are far apart leave
// room to see those that are close.
func Models(models []Model) ([]byte, error) {
	errors, seconds := newPlot("Test error", "% of the test images misclassified (logarithmic)", ""), newPlot("Training time", "seconds", "")
	errors.Legend.Top = true
	for _, add := range []func(*plot.Plot, []Model) error{addSeeds, addMeans, addOriginals} {
		if err := add(errors, models); err != nil {
			return nil, err
		}
	}
	errors.X.Scale, errors.X.Tick.Marker = plot.LogScale{}, errorTicks{}
	errors.X.Min, errors.X.Max = errors.X.Min/1.05, errors.X.Max*1.05
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
	for _, p := range []*plot.Plot{errors, seconds} {
		p.NominalY(names...)
		p.Y.Min, p.Y.Max = -.6, float64(len(models))+.6 // a row for the legend
	}
	return encode(32*vg.Centimeter, vg.Length(5+1.2*float64(len(models)))*vg.Centimeter, errors, seconds)
}

// errorTicks are round percentages: evenly spread ones over a narrow range, and
// over a wide one those that leave room for each other.
type errorTicks struct{}

// Ticks implements [plot.Ticker].
func (errorTicks) Ticks(low, high float64) []plot.Tick {
	if high < 2*low {
		return plot.DefaultTicks{}.Ticks(low, high)
	}
	var ticks []plot.Tick
	for _, percent := range []float64{.1, .2, .5, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 15, 20, 30, 50, 90} {
		ticks = append(ticks, plot.Tick{Value: percent, Label: fmt.Sprint(percent)})
	}
	return ticks
}

// errorPercent is where an accuracy is drawn; a perfect one at half an image in
// 10,000.
func errorPercent(accuracy float64) float64 { return max(100*(1-accuracy), .005) }

// leastError returns the smallest error of a model, halved: an interval that
// reaches further, even below 0, is drawn so far.
func leastError(m Model) float64 {
	least := errorPercent(m.Mean)
	for _, a := range m.Accuracies {
		least = min(least, errorPercent(a))
	}
	return least / 2
}

// addSeeds draws a faint point for every seed of a model that has several.
func addSeeds(p *plot.Plot, models []Model) error {
	var xy plotter.XYs
	for i, m := range models {
		for _, a := range m.Accuracies {
			if len(m.Accuracies) > 1 {
				xy = append(xy, plotter.XY{X: errorPercent(a), Y: float64(len(models) - 1 - i)})
			}
		}
	}
	return addPoints(p, "one seed", xy, draw.GlyphStyle{Color: color.NRGBA{0, 0x72, 0xB2, 255}, Radius: vg.Points(4), Shape: draw.RingGlyph{}})
}

func addOriginals(p *plot.Plot, models []Model) error {
	var xy plotter.XYs
	for i, m := range models {
		if m.Original > 0 {
			xy = append(xy, plotter.XY{X: errorPercent(m.Original), Y: float64(len(models)-1-i) - .25})
		}
	}
	return addPoints(p, "the original", xy, draw.GlyphStyle{Color: valColour, Radius: vg.Points(5), Shape: draw.PyramidGlyph{}})
}

// addMeans draws means and their intervals.
func addMeans(p *plot.Plot, models []Model) error {
	var means plotter.XYs
	var intervals struct {
		plotter.XYs
		plotter.XErrors
	}
	for i, m := range models {
		at := plotter.XY{X: errorPercent(m.Mean), Y: float64(len(models) - 1 - i)}
		means = append(means, at)
		if !math.IsNaN(m.Low) {
			intervals.XYs = append(intervals.XYs, at)
			intervals.XErrors = append(intervals.XErrors, struct{ Low, High float64 }{at.X - max(errorPercent(m.High), leastError(m)), errorPercent(m.Low) - at.X})
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
	return addPoints(p, name, means, draw.GlyphStyle{Color: color.Black, Radius: vg.Points(3), Shape: draw.BoxGlyph{}})
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
