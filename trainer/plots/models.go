package plots

import (
	"fmt"
	"image/color"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Model is a row of [Models].
type Model struct {
	Name       string
	Accuracies []float64 // fractions, one per seed
	Mean       float64
	Low, High  float64 // interval of the mean; NaN for one seed
	Original   float64 // the original's accuracy; 0 if there is none
	Seconds    float64 // of training
}

// Models draws the test error of every model, the first at the top: each seed, the mean
// with its interval, and the original's error. Beside it are the seconds of training.
// The axis of errors is logarithmic, so that models that are close can be told apart
// even if others are far away. Of many models it draws the first hundred.
func Models(models []Model) ([]byte, error) {
	const most = 100
	note := ""
	if len(models) > most {
		note = fmt.Sprintf("The first %d of %d.", most, len(models))
		models = models[:most]
	}
	errors, seconds := newPlot("Test error", "% of the test images misclassified (logarithmic)", ""), newPlot("Training time", "seconds", "")
	f := figure{width: 26 * vg.Centimeter, panels: []*plot.Plot{errors, seconds}}
	f.height = vg.Length(1.8+rowHeight(len(models))*float64(len(models))) * vg.Centimeter
	f.title, f.note = "Test error and training time", note
	for _, add := range []func(*figure, *plot.Plot, []Model) error{addSeeds, addMeans, addOriginals} {
		if err := add(&f, errors, models); err != nil {
			return nil, err
		}
	}
	errors.X.Min, errors.X.Max = errors.X.Min/1.05, errors.X.Max*1.05
	errors.X.Scale, errors.X.Tick.Marker = plot.LogScale{}, errorTicks{}
	times := &bars{fill: withAlpha(blue, .75)}
	var ends plotter.XYs
	var values []string
	names := make([]string, len(models))
	for i, m := range models {
		row := float64(len(models) - 1 - i)
		names[len(models)-1-i] = m.Name
		times.boxes = append(times.boxes, box{0, m.Seconds, row - .3, row + .3})
		ends, values = append(ends, plotter.XY{X: m.Seconds, Y: row}), append(values, fmt.Sprintf("%.3g", m.Seconds))
	}
	seconds.Add(times)
	if err := addTexts(seconds, ends, values); err != nil {
		return nil, err
	}
	setNames(&errors.Y, names)
	setNames(&seconds.Y, make([]string, len(names))) // so that both panels' rows are aligned
	seconds.X.Min = 0
	for _, p := range f.panels {
		p.Y.Min, p.Y.Max = -.5, float64(len(models))-.5
	}
	return f.png()
}

// rowHeight is the height of a model's row, in centimetres: less if there are many.
func rowHeight(models int) float64 {
	if models > 8 {
		return .6
	}
	return 1
}

// errorTicks are round percentages: evenly spaced in a narrow range, and in a wide one
// chosen so that their labels do not overlap.
type errorTicks struct{}

// Ticks implements [plot.Ticker].
func (errorTicks) Ticks(low, high float64) []plot.Tick {
	if high < 2*low {
		return roundTicks{}.Ticks(low, high)
	}
	percents := []float64{.01, .02, .05, .1, .2, .5, 1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 50, 90}
	if high > 20*low {
		percents = []float64{.01, .1, 1, 2, 5, 10, 20, 50, 90}
	}
	var ticks []plot.Tick
	for _, percent := range percents {
		ticks = append(ticks, plot.Tick{Value: percent, Label: fmt.Sprint(percent)})
	}
	return ticks
}

// errorPercent returns the error, in per cent, at which an accuracy is drawn. A perfect
// one is drawn as half a mistake in 10,000 images, because the axis is logarithmic.
func errorPercent(accuracy float64) float64 { return max(100*(1-accuracy), .005) }

// leastError returns half the smallest error of a model: intervals are drawn no further
// than that, because they may reach below 0.
func leastError(m Model) float64 {
	least := errorPercent(m.Mean)
	for _, a := range m.Accuracies {
		least = min(least, errorPercent(a))
	}
	return least / 2
}

// addSeeds draws a ring for every seed of models with several seeds.
func addSeeds(f *figure, p *plot.Plot, models []Model) error {
	var xy plotter.XYs
	for i, m := range models {
		for _, a := range m.Accuracies {
			if len(m.Accuracies) > 1 {
				xy = append(xy, plotter.XY{X: errorPercent(a), Y: float64(len(models) - 1 - i)})
			}
		}
	}
	return f.addPoints(p, "one seed", xy, draw.GlyphStyle{Color: blue, Radius: vg.Points(3.5), Shape: draw.RingGlyph{}})
}

func addOriginals(f *figure, p *plot.Plot, models []Model) error {
	var xy plotter.XYs
	for i, m := range models {
		if m.Original > 0 {
			xy = append(xy, plotter.XY{X: errorPercent(m.Original), Y: float64(len(models)-1-i) - .25})
		}
	}
	return f.addPoints(p, "the original", xy, draw.GlyphStyle{Color: orange, Radius: vg.Points(4), Shape: draw.PyramidGlyph{}})
}

// addMeans draws means and their intervals.
func addMeans(f *figure, p *plot.Plot, models []Model) error {
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
			intervals.XErrors = append(intervals.XErrors, struct{ Low, High float64 }{at.X - max(errorPercent(m.High), leastError(m)), min(errorPercent(m.Low), 100) - at.X})
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
	return f.addPoints(p, name, means, draw.GlyphStyle{Color: color.Black, Radius: vg.Points(3), Shape: draw.BoxGlyph{}})
}

// addPoints adds points and their entry in the legend.
func (f *figure) addPoints(p *plot.Plot, name string, xy plotter.XYs, style draw.GlyphStyle) error {
	if len(xy) == 0 {
		return nil
	}
	points, err := plotter.NewScatter(xy)
	if err != nil {
		return err
	}
	points.GlyphStyle = style
	p.Add(points)
	f.legend = append(f.legend, sample(name, points))
	return nil
}
