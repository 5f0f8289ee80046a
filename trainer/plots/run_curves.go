package plots

import (
	"image/color"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
)

// SeriesColours are Okabe and Ito's, which colour-blind people can tell apart,
// for lines that have no order.
var SeriesColours = []color.Color{
	rgb(0x0072B2), rgb(0xD55E00), rgb(0x009E73), rgb(0xCC79A7), rgb(0xE69F00), rgb(0x56B4E9), rgb(0x000000),
}

// Series is a run's curve under its name.
type Series struct {
	Name   string
	Epochs []Epoch
}

// RunCurves draws loss and accuracy by epoch on the images that select the
// best epoch, which are called selected, a line for each run.
func RunCurves(runs []Series, selected string) ([]byte, error) {
	loss, accuracy := newPlot("Loss on "+selected, "epoch", "mean cross-entropy"), newPlot("Accuracy on "+selected, "epoch", "% of images")
	accuracy.Legend.Top = false
	longest := 0
	for i, r := range runs {
		longest = max(longest, len(r.Epochs))
		var losses, accuracies plotter.XYs
		for e, point := range r.Epochs {
			losses = appendFinite(losses, float64(e+1), point.ValLoss)
			accuracies = appendFinite(accuracies, float64(e+1), 100*point.ValAccuracy)
		}
		for _, on := range []struct {
			p  *plot.Plot
			xy plotter.XYs
		}{{loss, losses}, {accuracy, accuracies}} {
			if len(on.xy) == 0 {
				continue
			}
			line, points, err := plotter.NewLinePoints(on.xy)
			if err != nil {
				return nil, err
			}
			line.Color, line.Width = SeriesColours[i%len(SeriesColours)], lineWidth
			points.Color, points.Shape = line.Color, plotutil.Shape(i)
			on.p.Add(line, points)
			on.p.Legend.Add(r.Name, line, points)
		}
	}
	loss.X.Tick.Marker, accuracy.X.Tick.Marker = wholeTicks(longest), wholeTicks(longest)
	// Room for the legends.
	room := .08 * float64(len(runs))
	loss.Y.Max += room * (loss.Y.Max - loss.Y.Min)
	accuracy.Y.Min -= room * (accuracy.Y.Max - accuracy.Y.Min)
	return encode(24*vg.Centimeter, 10*vg.Centimeter, loss, accuracy)
}

// appendFinite adds a point, unless it is none.
func appendFinite(xy plotter.XYs, x, y float64) plotter.XYs {
	if math.IsNaN(y) || math.IsInf(y, 0) {
		return xy
	}
	return append(xy, plotter.XY{X: x, Y: y})
}
