package plots

import (
	"fmt"

	"github.com/dustin/go-humanize"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/metrics"
)

// fewImages is the number of images that a bin needs to say anything.
const fewImages = 10

// Reliability draws whether the network is as often right as it is sure: by
// confidence, the share of right answers beside the diagonal on which they
// agree, and how many images have that confidence. calibrationError is that of
// [metrics.Metrics], the other arguments are as of [metrics.Compute].
func Reliability(labels []byte, probabilities []float32, calibrationError float64) ([]byte, error) {
	bins := metrics.Calibration(labels, probabilities)
	const confidence = "confidence: probability of the predicted class, %"
	right, images := newPlot("Right answers", confidence, "% of the images of that confidence"), newPlot("Images", confidence, "% of all images")
	f := figure{width: 26 * vg.Centimeter, height: 10.5 * vg.Centimeter, panels: []*plot.Plot{right, images}}
	f.title = "Reliability"
	f.note = reliabilityNote(bins, calibrationError)
	correct, wrong := &bars{fill: blue}, &bars{fill: orange}
	answers, over, under := &bars{fill: blue}, &bars{fill: withAlpha(orange, .3), outline: orange}, &bars{fill: withAlpha(blue, .3), outline: blue}
	sparse := &bars{fill: withAlpha(grey, .3)}
	for _, b := range bins {
		if b.Images == 0 {
			continue
		}
		left, right, share := 100*b.Low+.4, 100*b.High-.4, 100*float64(b.Images)/float64(len(labels))
		add := func(to *bars, low, high float64) { to.boxes = append(to.boxes, box{left, right, low, high}) }
		add(correct, 0, share*b.Accuracy)
		add(wrong, share*b.Accuracy, share)
		switch {
		case b.Images < fewImages:
			add(sparse, 0, 100*b.Accuracy)
			continue
		case b.Confidence > b.Accuracy:
			add(over, 100*b.Accuracy, 100*b.Confidence)
		default:
			add(under, 100*b.Confidence, 100*b.Accuracy)
		}
		add(answers, 0, 100*min(b.Accuracy, b.Confidence))
	}
	right.Add(sparse, answers, over, under)
	images.Add(correct, wrong)
	diagonal := draw.LineStyle{Color: ink, Width: lineWidth, Dashes: []vg.Length{vg.Points(5), vg.Points(3)}}
	perfect, err := addLine(right, plotter.XYs{{X: 0, Y: 0}, {X: 100, Y: 100}}, diagonal, false)
	if err != nil {
		return nil, err
	}
	f.legend = []entry{sample("right", correct), sample("wrong", wrong), {"perfect calibration", perfect}}
	for _, b := range []struct {
		name string
		bars *bars
	}{{"overconfident by", over}, {"underconfident by", under}, {fmt.Sprintf("right, of fewer than %d images", fewImages), sparse}} {
		if len(b.bars.boxes) > 0 {
			f.legend = append(f.legend, sample(b.name, b.bars))
		}
	}
	for _, p := range f.panels {
		p.X.Min, p.X.Max, p.Y.Min = 0, 100, 0
	}
	images.Y.Max *= 1.05
	right.Y.Max = 100
	return f.png()
}

// reliabilityNote puts the figures in words.
func reliabilityNote(bins []metrics.Bin, calibrationError float64) string {
	n, confidence, accuracy := 0, 0., 0.
	for _, b := range bins {
		n += b.Images
		confidence += float64(b.Images) * b.Confidence
		accuracy += float64(b.Images) * b.Accuracy
	}
	confidence, accuracy = 100*confidence/float64(n), 100*accuracy/float64(n)
	verdict := "on average as sure as it is right"
	switch difference := confidence - accuracy; {
	case difference > .5:
		verdict = "overconfident"
	case difference < -.5:
		verdict = "underconfident"
	}
	return fmt.Sprintf("%s images in %d bins of confidence. Expected calibration error, the mean gap: %.2f points. Mean confidence %.2f %%, accuracy %.2f %%: the network is %s.",
		humanize.Comma(int64(n)), len(bins), 100*calibrationError, confidence, accuracy, verdict)
}
