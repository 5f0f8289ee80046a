package plots

import (
	"cmp"
	"fmt"
	"image/color"
	"math"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/metrics"
)

// cornerWidth is the false positive rate, in per cent, up to which the corner of the
// plot is enlarged.
const cornerWidth = 10

// mostListed is the largest number of classes that [ROC] lists; of more it lists only
// worstListed ones, those with the smallest areas under their curves.
const (
	mostListed  = 20
	worstListed = 5
)

// characteristic is a line of [ROC].
type characteristic struct {
	name  string // empty if it is not listed
	style draw.LineStyle
	x, y  []float64 // rates, from 0 to 1; nil if the curve is undefined
}

// ROC draws the receiver operating characteristic of each class against all others and
// of their averages: the whole plot, and the corner in which good classifiers differ,
// enlarged. Of many classes, only the worst are named. The arguments are as for
// [metrics.Compute].
func ROC(labels []byte, probabilities []float32, names []string) ([]byte, error) {
	lines := characteristics(labels, probabilities, names)
	const x, y = "false positives, % of the other classes' images", "true positives, % of the class's images"
	whole, corner := newPlot("Whole", x, y), newPlot("Corner", x, y)
	f := figure{width: 26 * vg.Centimeter, height: 13 * vg.Centimeter, panels: []*plot.Plot{whole, corner}}
	f.title = "ROC of each class against all others"
	f.note = "The numbers are the areas under the curves (AUC). Macro: mean of the classes' curves; micro: all decisions pooled. The dotted frame marks the corner."
	if len(names) > mostListed {
		f.note += fmt.Sprintf(" Of the %d classes, the %d with the smallest areas are named.", len(names), worstListed)
	}
	least := cornerBottom(lines)
	chance := draw.LineStyle{Color: grey, Width: thinWidth}
	if _, err := addLine(whole, plotter.XYs{{X: 0, Y: 0}, {X: 100, Y: 100}}, chance, false); err != nil {
		return nil, err
	}
	frame := draw.LineStyle{Color: grey, Width: thinWidth, Dashes: []vg.Length{vg.Points(2), vg.Points(2)}}
	if _, err := addLine(whole, plotter.XYs{{X: 0, Y: least}, {X: cornerWidth, Y: least}, {X: cornerWidth, Y: 100}}, frame, false); err != nil {
		return nil, err
	}
	var others []plot.Thumbnailer
	for _, l := range lines {
		if l.x == nil {
			f.legend = append(f.legend, entry{l.name + " –", nil})
			continue
		}
		thumbs, err := addLine(whole, thinned(l, 100, 0), l.style, false)
		if err != nil {
			return nil, err
		}
		if _, err := addLine(corner, thinned(l, cornerWidth, least), l.style, false); err != nil {
			return nil, err
		}
		if l.name == "" {
			others = thumbs
			continue
		}
		f.legend = append(f.legend, entry{fmt.Sprintf("%s %.4f", l.name, metrics.Area(l.x, l.y)), thumbs})
	}
	f.explain("the other classes", others...)
	whole.X.Min, whole.X.Max, whole.Y.Min, whole.Y.Max = 0, 100, 0, 100
	corner.X.Min, corner.X.Max, corner.Y.Min, corner.Y.Max = 0, cornerWidth, least, 100
	return f.png()
}

// characteristics returns the lines of all classes and of their averages.
func characteristics(labels []byte, probabilities []float32, names []string) []characteristic {
	var lines []characteristic
	for c, name := range apart(ClassLabels(names), longestOfMany) {
		l := characteristic{name: name, style: seriesStyle(c, classColours)}
		l.style.Width = vg.Length(1.3)
		l.x, l.y = metrics.ROC(labels, probabilities, c)
		lines = append(lines, l)
	}
	if len(lines) > mostListed {
		lines = summarisedLines(lines)
	}
	macro := characteristic{name: "macro", style: draw.LineStyle{Color: color.Black, Width: lineWidth * 1.4}}
	macro.x, macro.y = metrics.MacroROC(labels, probabilities)
	micro := characteristic{name: "micro", style: draw.LineStyle{Color: color.Black, Width: lineWidth * 1.4, Dashes: []vg.Length{vg.Points(1.5), vg.Points(2.5)}}}
	micro.x, micro.y = metrics.MicroROC(labels, probabilities)
	return append(lines, macro, micro)
}

// summarisedLines returns those of the lines that are defined, the largest area first:
// without names and pale, but for the last few, which are the worst, from the worst on.
func summarisedLines(lines []characteristic) []characteristic {
	lines = slices.DeleteFunc(lines, func(l characteristic) bool { return l.x == nil })
	slices.SortStableFunc(lines, func(a, b characteristic) int {
		return cmp.Compare(metrics.Area(b.x, b.y), metrics.Area(a.x, a.y))
	})
	slices.Reverse(lines[len(lines)-min(worstListed, len(lines)):])
	for i := range lines {
		if named := i - (len(lines) - worstListed); named >= 0 {
			lines[i].style.Color, lines[i].style.Dashes = classColours[named%len(classColours)], nil
			continue
		}
		lines[i].name, lines[i].style = "", draw.LineStyle{Color: withAlpha(grey, .4), Width: vg.Length(.6)}
	}
	return lines
}

// cornerBottom returns the true positive rate, in per cent, at which the enlarged corner
// begins: below all curves at a fifth of the corner's width, where they have bent.
func cornerBottom(lines []characteristic) float64 {
	least := 90.
	for _, l := range lines {
		for i, x := range l.x {
			if 100*x > cornerWidth/5 {
				least = min(least, 100*l.y[max(0, i-1)])
				break
			}
		}
	}
	return 10 * math.Floor(least/10)
}

// thinned returns a line in per cent within [0, right] × [bottom, 100], without the
// points that are too close to the previous one to be seen.
func thinned(l characteristic, right, bottom float64) plotter.XYs {
	const seen = 1. / 2000 // of an axis
	var xy plotter.XYs
	for i := range l.x {
		p := plotter.XY{X: 100 * l.x[i], Y: 100 * l.y[i]}
		if p.Y < bottom && i+1 < len(l.y) && 100*l.y[i+1] < bottom {
			continue
		}
		if p.X > right { // where the line leaves
			if n := len(xy); n > 0 && xy[n-1].X < right {
				part := (right - xy[n-1].X) / (p.X - xy[n-1].X)
				xy = append(xy, plotter.XY{X: right, Y: xy[n-1].Y + part*(p.Y-xy[n-1].Y)})
			}
			break
		}
		if n := len(xy); n > 0 && i+1 < len(l.x) && math.Abs(p.X-xy[n-1].X) < seen*right && math.Abs(p.Y-xy[n-1].Y) < seen*(100-bottom) {
			continue
		}
		xy = append(xy, p)
	}
	if n := len(xy); n > 1 && xy[0].Y < bottom { // where it enters
		part := (bottom - xy[0].Y) / (xy[1].Y - xy[0].Y)
		xy[0] = plotter.XY{X: xy[0].X + part*(xy[1].X-xy[0].X), Y: bottom}
	}
	return xy
}
