package plots

import (
	"fmt"
	"image/color"
	"math"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Epoch holds the values of the curves at one epoch; NaN is not drawn.
type Epoch struct {
	TrainLoss, ValLoss         float64
	TrainAccuracy, ValAccuracy float64 // fractions
	LR                         float64 // learning rate of the epoch's last step
}

// fewEpochs is the largest number of epochs for which each gets a dot.
const fewEpochs = 25

// Curves draws loss, accuracy and learning rate by epoch: loss and accuracy both in
// training and on the images that select the best epoch, whose name is selected ("val",
// "test"). best is the number of the best epoch, from 1.
func Curves(epochs []Epoch, selected string, best int) ([]byte, error) {
	loss, accuracy, rate := newPlot("Loss", "epoch", "mean cross-entropy"), newPlot("Accuracy", "epoch", "% of images"), newPlot("Learning rate", "epoch", "")
	f := figure{width: 26 * vg.Centimeter, height: 8.5 * vg.Centimeter, panels: []*plot.Plot{loss, accuracy, rate}}
	f.title = "Training"
	var ring plot.Thumbnailer
	for _, l := range []struct {
		name           string
		in             *plot.Plot
		value          func(Epoch) float64
		colour         color.Color
		dashed, marked bool
	}{
		{"training", loss, func(e Epoch) float64 { return e.TrainLoss }, blue, true, false},
		{selected, loss, func(e Epoch) float64 { return e.ValLoss }, orange, false, true},
		{"training", accuracy, func(e Epoch) float64 { return 100 * e.TrainAccuracy }, blue, true, false},
		{selected, accuracy, func(e Epoch) float64 { return 100 * e.ValAccuracy }, orange, false, true},
		{"", rate, func(e Epoch) float64 { return e.LR }, ink, false, false},
	} {
		style := draw.LineStyle{Color: l.colour, Width: lineWidth}
		if l.dashed {
			style.Dashes = []vg.Length{vg.Points(5), vg.Points(3)}
		}
		xy := finite(epochs, l.value)
		thumbs, err := addLine(l.in, xy, style, len(epochs) <= fewEpochs)
		if err != nil {
			return nil, err
		}
		f.explain(l.name, thumbs...)
		if at := slices.IndexFunc(xy, func(p plotter.XY) bool { return p.X == float64(best) }); l.marked && at >= 0 {
			if ring, err = addRing(l.in, xy[at]); err != nil {
				return nil, err
			}
		}
	}
	if ring != nil {
		f.explain(fmt.Sprintf("best epoch: %d", best), ring)
	}
	rate.Y.Min = 0
	for _, p := range f.panels {
		setEpochs(p, len(epochs))
	}
	return f.png()
}

// explain adds an entry to the legend, unless it has no name, is not drawn, or is
// already there.
func (f *figure) explain(name string, thumbs ...plot.Thumbnailer) {
	known := slices.ContainsFunc(f.legend, func(e entry) bool { return e.name == name })
	if name != "" && len(thumbs) > 0 && !known {
		f.legend = append(f.legend, entry{name, thumbs})
	}
}

// addRing marks a point.
func addRing(p *plot.Plot, at plotter.XY) (plot.Thumbnailer, error) {
	ring, err := plotter.NewScatter(plotter.XYs{at})
	if err != nil {
		return nil, err
	}
	ring.GlyphStyle = draw.GlyphStyle{Color: ink, Radius: vg.Points(5), Shape: draw.RingGlyph{}}
	p.Add(ring)
	return ring, nil
}

// finite returns the points of a curve that are finite numbers.
func finite(epochs []Epoch, value func(Epoch) float64) plotter.XYs {
	var xy plotter.XYs
	for i, e := range epochs {
		if y := value(e); !math.IsNaN(y) && !math.IsInf(y, 0) {
			xy = append(xy, plotter.XY{X: float64(i + 1), Y: y})
		}
	}
	return xy
}

// addLine adds a line, optionally with dots at its points, and returns its samples for
// a legend, or nil if there are no points.
func addLine(p *plot.Plot, xy plotter.XYs, style draw.LineStyle, dots bool) ([]plot.Thumbnailer, error) {
	if len(xy) == 0 {
		return nil, nil
	}
	line, points, err := plotter.NewLinePoints(xy)
	if err != nil {
		return nil, err
	}
	line.LineStyle = style
	p.Add(line)
	if !dots {
		return []plot.Thumbnailer{line}, nil
	}
	points.GlyphStyle = draw.GlyphStyle{Color: style.Color, Radius: vg.Points(2.2), Shape: draw.CircleGlyph{}}
	p.Add(points)
	return []plot.Thumbnailer{line, points}, nil
}

// Series holds the curves of a recipe's runs, which differ only in the seed.
type Series struct {
	Name string
	Runs [][]Epoch
}

// RunCurves draws loss and accuracy by epoch on the images that select the best epoch,
// whose name is selected: for each recipe, the mean of its runs and a band from their
// lowest to their highest value. Recipes beyond the number of line styles are grey, so
// the best should come first.
func RunCurves(recipes []Series, selected string) ([]byte, error) {
	loss, accuracy := newPlot("Loss on "+selected, "epoch", "mean cross-entropy"), newPlot("Accuracy on "+selected, "epoch", "% of images")
	f := figure{width: 26 * vg.Centimeter, height: 10 * vg.Centimeter, panels: []*plot.Plot{loss, accuracy}}
	f.title = "Recipes by epoch"
	longest, banded := 0, false
	for _, r := range recipes {
		banded = banded || len(r.Runs) > 1
		for _, run := range r.Runs {
			longest = max(longest, len(run))
		}
	}
	if banded {
		f.note = "Lines are means over a recipe's runs; bands span the lowest to the highest run. A line ends where its shortest run ends."
	}
	coloured := min(len(recipes), 2*len(SeriesColours))
	// The best is drawn last, on top of all others.
	legend := make([]entry, coloured)
	var rest []plot.Thumbnailer
	for i := len(recipes) - 1; i >= 0; i-- {
		style := draw.LineStyle{Color: withAlpha(grey, .5), Width: thinWidth}
		if i < coloured {
			style = seriesStyle(i, SeriesColours)
		}
		thumbs, err := addRecipe(loss, accuracy, recipes[i], style, longest <= fewEpochs && i < coloured)
		if err != nil {
			return nil, err
		}
		if i < coloured {
			legend[i] = entry{recipes[i].Name, thumbs}
		} else if thumbs != nil {
			rest = thumbs
		}
	}
	f.legend = legend
	if n := len(recipes) - coloured; n > 0 {
		f.legend = append(f.legend, entry{fmt.Sprintf("%d others", n), rest})
	}
	for _, p := range f.panels {
		setEpochs(p, longest)
	}
	return f.png()
}

// addRecipe adds a recipe's two lines and bands, and returns their samples for a legend.
func addRecipe(loss, accuracy *plot.Plot, r Series, style draw.LineStyle, dots bool) (thumbs []plot.Thumbnailer, err error) {
	for _, panel := range []struct {
		p     *plot.Plot
		value func(Epoch) float64
	}{
		{loss, func(e Epoch) float64 { return e.ValLoss }},
		{accuracy, func(e Epoch) float64 { return 100 * e.ValAccuracy }},
	} {
		mean, low, high := summarised(r.Runs, panel.value)
		if len(r.Runs) > 1 && len(mean) > 1 {
			outline := append(plotter.XYs{}, low...)
			for i := len(high) - 1; i >= 0; i-- {
				outline = append(outline, high[i])
			}
			band, err := plotter.NewPolygon(outline)
			if err != nil {
				return nil, err
			}
			band.Color, band.LineStyle.Width = withAlpha(style.Color, .15), 0
			panel.p.Add(band)
		}
		added, err := addLine(panel.p, mean, style, dots)
		if err != nil {
			return nil, err
		}
		if added != nil {
			thumbs = added
		}
	}
	return thumbs, nil
}

// summarised returns the mean, lowest and highest value of runs at each epoch at which
// all of them have a finite value.
func summarised(runs [][]Epoch, value func(Epoch) float64) (mean, low, high plotter.XYs) {
	for e := 0; ; e++ {
		sum, least, most := 0., math.Inf(1), math.Inf(-1)
		for _, run := range runs {
			if e >= len(run) {
				return mean, low, high
			}
			v := value(run[e])
			sum, least, most = sum+v, min(least, v), max(most, v)
		}
		if len(runs) == 0 {
			return nil, nil, nil
		}
		if math.IsNaN(sum) || math.IsInf(sum, 0) {
			continue
		}
		x := float64(e + 1)
		mean = append(mean, plotter.XY{X: x, Y: sum / float64(len(runs))})
		low, high = append(low, plotter.XY{X: x, Y: least}), append(high, plotter.XY{X: x, Y: most})
	}
}
