package plots

import (
	"fmt"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Mark is a place on the axis of learning rates, with its name.
type Mark struct {
	Name string
	Rate float64
}

// RateCurve draws a loss and its moving average by learning rate, on a logarithmic
// scale, with marks at suggested rates. The loss is cut off where it exceeds the first
// average by half: beyond, it diverges.
func RateCurve(rates, losses, smoothed []float64, marks []Mark) ([]byte, error) {
	p := newPlot("", "learning rate", "training loss")
	p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: 2}
	f := figure{width: 16 * vg.Centimeter, height: 10 * vg.Centimeter, panels: []*plot.Plot{p}}
	f.title = "Loss by learning rate"
	for _, l := range []struct {
		name   string
		values []float64
		style  draw.LineStyle
	}{
		{"loss of a batch", losses, draw.LineStyle{Color: withAlpha(blue, .35), Width: thinWidth}},
		{"moving average", smoothed, draw.LineStyle{Color: blue, Width: lineWidth}},
	} {
		thumbs, err := addLine(p, points(rates, l.values), l.style, false)
		if err != nil {
			return nil, err
		}
		f.explain(l.name, thumbs...)
	}
	if len(rates) < 2 { // a logarithmic axis cannot be widened by a constant, as others are
		at := 1.
		if len(rates) > 0 {
			at = rates[0]
		}
		p.X.Min, p.X.Max = at/10, at*10
	}
	low, high := p.Y.Min, p.Y.Max
	if len(smoothed) > 0 {
		high = min(high, 1.5*smoothed[0])
	}
	for i, m := range marks {
		line, err := plotter.NewLine(plotter.XYs{{X: m.Rate, Y: low}, {X: m.Rate, Y: high}})
		if err != nil {
			return nil, err
		}
		line.LineStyle = seriesStyle(i+1, SeriesColours)
		line.Dashes = []vg.Length{vg.Points(5), vg.Points(3)}
		p.Add(line)
		f.explain(fmt.Sprintf("%s: %.2g", m.Name, m.Rate), line)
	}
	p.Y.Min, p.Y.Max = low, high
	return f.png()
}

// points returns a curve through the given coordinates.
func points(x, y []float64) plotter.XYs {
	xy := make(plotter.XYs, len(x))
	for i := range xy {
		xy[i] = plotter.XY{X: x[i], Y: y[i]}
	}
	return xy
}
