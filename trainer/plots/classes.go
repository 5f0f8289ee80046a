package plots

import (
	"cmp"
	"fmt"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/metrics"
)

// mostBars is the largest number of classes of [ClassF1]; of more it draws the worst.
const mostBars = 40

// ClassF1 draws the F1 of every class as a bar with its value, and marks precision and
// recall, whose harmonic mean it is. Of more than 40 classes it draws the worst.
func ClassF1(classes []metrics.ClassMetrics) ([]byte, error) {
	p := newPlot("", "", "")
	classes, note := worstClasses(classes)
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
	f := figure{width: 20 * vg.Centimeter, height: vg.Length(1.5+barHeight(len(classes))*float64(len(classes))) * vg.Centimeter, panels: []*plot.Plot{p}}
	f.title, f.note, f.legend = "F1 by class", note, []entry{sample("F1, with its value", f1)}
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

// barHeight is the height of a class's row, in centimetres: less if there are many.
func barHeight(classes int) float64 {
	if classes > 16 {
		return .55
	}
	return .75
}

// worstClasses returns the classes with their labels. Of too many it returns those with
// the smallest F1, the worst first, and a note that says so; of these, classes without
// images, whose F1 says nothing, are left out.
func worstClasses(classes []metrics.ClassMetrics) (worst []metrics.ClassMetrics, note string) {
	worst = slices.Clone(classes)
	for i := range worst {
		worst[i].Name = ClassLabel(i, worst[i].Name)
	}
	if len(worst) <= mostBars {
		return worst, ""
	}
	worst = slices.DeleteFunc(worst, func(c metrics.ClassMetrics) bool { return c.Support == 0 })
	slices.SortStableFunc(worst, func(a, b metrics.ClassMetrics) int { return cmp.Compare(a.F1, b.F1) })
	drawn := min(mostBars, len(worst))
	note = fmt.Sprintf("The %d of %d classes with the lowest F1, the lowest first.", drawn, len(classes))
	if rest := worst[drawn:]; len(rest) > 0 {
		note += fmt.Sprintf(" The others have an F1 from %.3f to %.3f.", rest[0].F1, rest[len(rest)-1].F1)
	}
	if without := len(classes) - len(worst); without > 0 {
		note += fmt.Sprintf(" Classes without images, left out: %d.", without)
	}
	return worst[:drawn], note
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
