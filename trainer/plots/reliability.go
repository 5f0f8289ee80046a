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

// fewImages is the number of images below which a bin is too small to judge.
const fewImages = 10

// Reliability draws how well the network's confidence matches its accuracy: for each
// bin of confidence, the share of right answers, with the diagonal on which both agree,
// and the share of images in the bin. calibrationError is that of [metrics.Metrics]; the
// other arguments are as for [metrics.Compute].
func Reliability(labels []byte, probabilities []float32, calibrationError float64) ([]byte, error) {
	bins := metrics.Calibration(labels, probabilities)
	const confidence = "confidence: probability of the predicted class, %"
	right, images := newPlot("Right answers", confidence, "% of the images with that confidence"), newPlot("Images", confidence, "% of all images")
	f := figure{width: 26 * vg.Centimeter, height: 10.5 * vg.Centimeter, panels: []*plot.Plot{right, images}}
	f.title, f.note = "Reliability", reliabilityNote(bins, calibrationError)
	f.addShares(images, bins, float64(len(labels)))
	f.addAnswers(right, bins)
	diagonal := draw.LineStyle{Color: ink, Width: lineWidth, Dashes: []vg.Length{vg.Points(5), vg.Points(3)}}
	perfect, err := addLine(right, plotter.XYs{{X: 0, Y: 0}, {X: 100, Y: 100}}, diagonal, false)
	if err != nil {
		return nil, err
	}
	f.explain("perfect calibration", perfect...)
	for _, p := range f.panels {
		p.X.Min, p.X.Max, p.Y.Min = 0, 100, 0
	}
	right.Y.Max, images.Y.Max = 100, 1.05*images.Y.Max
	return f.png()
}

// addShares adds the share of n images in each bin, the right ones below the wrong
// ones.
func (f *figure) addShares(p *plot.Plot, bins []metrics.Bin, n float64) {
	correct, wrong := &bars{fill: blue}, &bars{fill: orange}
	for _, b := range bins {
		share := 100 * float64(b.Images) / n
		correct.addBin(b, 0, share*b.Accuracy)
		wrong.addBin(b, share*b.Accuracy, share)
	}
	p.Add(correct, wrong)
	f.explain("right", correct)
	f.explain("wrong", wrong)
}

// addAnswers adds the share of right answers in each bin, and the gap to their
// mean confidence.
func (f *figure) addAnswers(p *plot.Plot, bins []metrics.Bin) {
	answers, sparse := &bars{fill: blue}, &bars{fill: withAlpha(grey, .3)}
	over, under := &bars{fill: withAlpha(orange, .3), outline: orange}, &bars{fill: withAlpha(blue, .3), outline: blue}
	for _, b := range bins {
		accuracy, confidence := 100*b.Accuracy, 100*b.Confidence
		switch {
		case b.Images < fewImages:
			sparse.addBin(b, 0, accuracy)
			continue
		case confidence > accuracy:
			over.addBin(b, accuracy, confidence)
		default:
			under.addBin(b, confidence, accuracy)
		}
		answers.addBin(b, 0, min(accuracy, confidence))
	}
	p.Add(sparse, answers, over, under)
	for _, e := range []struct {
		name string
		bars *bars
	}{{"overconfident by", over}, {"underconfident by", under}, {fmt.Sprintf("right, in a bin of fewer than %d images", fewImages), sparse}} {
		if len(e.bars.boxes) > 0 {
			f.explain(e.name, e.bars)
		}
	}
}

// addBin adds a bar over a bin of confidence, unless the bin is empty.
func (b *bars) addBin(bin metrics.Bin, low, high float64) {
	if bin.Images > 0 {
		const space = .4 // between bars
		b.boxes = append(b.boxes, box{100*bin.Low + space, 100*bin.High - space, low, high})
	}
}

// reliabilityNote describes the figures in words.
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
