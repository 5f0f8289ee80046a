package plots

import (
	"image/color"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
)

// seriesColours are Okabe and Ito's, for lines that have no order.
var seriesColours = []color.Color{
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
	// Room for the legends.
	room := .08 * float64(len(runs))
	loss.Y.Max += room * (loss.Y.Max - loss.Y.Min)
	accuracy.Y.Min -= room * (accuracy.Y.Max - accuracy.Y.Min)
	return encode(24*vg.Centimeter, 10*vg.Centimeter, loss, accuracy)
}
