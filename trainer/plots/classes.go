package plots

import (
	"fmt"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/metrics"
)

// ClassF1 draws the F1 of every class as a bar with its value, and marks precision and
// recall, whose harmonic mean it is.
func ClassF1(classes []metrics.ClassMetrics) ([]byte, error) {
	p := newPlot("", "", "")
	f1 := &bars{fill: withAlpha(blue, .35)}
	names := make([]string, len(classes))
	var precision, recall, ends plotter.XYs
	var values []string
	for i, c := range classes {
		row := float64(len(classes) - 1 - i)
		names[len(classes)-1-i] = c.Name
		f1.boxes = append(f1.boxes, box{0, c.F1, row - .36, row + .36})
		precision, recall = append(precision, plotter.XY{X: c.Precision, Y: row + .18}), append(recall, plotter.XY{X: c.Recall, Y: row - .18})
		ends, values = append(ends, plotter.XY{X: 1, Y: row}), append(values, fmt.Sprintf("%.3f", c.F1))
	}
	p.Add(f1)
	f := figure{width: 20 * vg.Centimeter, height: vg.Length(1.5+.75*float64(len(classes))) * vg.Centimeter, panels: []*plot.Plot{p}}
	f.title, f.legend = "F1 by class", []entry{sample("F1, with its value", f1)}
	for _, marks := range []struct {
		name  string
		xy    plotter.XYs
		style draw.GlyphStyle
	}{
		{"precision", precision, draw.GlyphStyle{Color: orange, Radius: vg.Points(3), Shape: draw.PyramidGlyph{}}},
		{"recall", recall, draw.GlyphStyle{Color: ink, Radius: vg.Points(2.5), Shape: draw.CircleGlyph{}}},
	} {
		points, err := plotter.NewScatter(marks.xy)
		if err != nil {
			return nil, err
		}
		points.GlyphStyle = marks.style
		p.Add(points)
		f.legend = append(f.legend, sample(marks.name, points))
	}
	if err := addTexts(p, ends, values); err != nil {
		return nil, err
	}
	setNames(&p.Y, names)
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = 0, 1, -.5, float64(len(classes))-.5
	return f.png()
}

// addTexts writes a text to the right of each point.
func addTexts(p *plot.Plot, at plotter.XYs, texts []string) error {
	labels, err := plotter.NewLabels(plotter.XYLabels{XYs: at, Labels: texts})
	if err != nil {
		return err
	}
	for i := range labels.TextStyle {
		labels.TextStyle[i] = textStyle(smallSize, ink)
		labels.TextStyle[i].YAlign = draw.YCenter
	}
	labels.Offset = vg.Point{X: vg.Points(5), Y: vg.Points(1.5)}
	p.Add(labels)
	return nil
}
