package report

import (
	"cmp"
	"fmt"
	"html/template"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/metrics"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/statistics"
)

// run is a run in full.
type run struct {
	*trainer.Run
	Interval    statistics.Interval // of the test accuracy
	Best        int                 // the epoch whose weights these are, from 1; 0 if none was evaluated
	Settings    string              // as YAML
	Curves      int                 // index of the panel
	Rate        int                 // likewise, of the learning rate
	Picture     *picture            // the curves for readers without scripts; nil if there is none
	Pictures    []picture
	Confusions  []confusion
	Reliability []bar // nil if predictions.csv has no probabilities
	Folded      bool  // shown when asked for
}

// picture is a PNG as a URL that holds it.
type picture struct {
	Title string
	Alt   string // what it shows, for those who do not see it
	URL   template.URL
}

// pictures are those of a run's folder in the order of the page.
var pictures = []struct{ file, title, alt string }{
	{trainer.MatrixPicture, "Confusion matrix", "Confusion matrix: how many test images of each class were taken for each class"},
	{trainer.ROCPicture, "ROC", "ROC curve of each class against all others; the areas under them are in the table of classes"},
	{trainer.ClassF1Picture, "F1 by class", "Bars of the F1 of each class; the values are in the table of classes"},
	{trainer.MisclassifiedPicture, "Most confident mistakes: predicted class, true class and both probabilities", "Test images that the network misclassified with the highest confidence"},
	{trainer.GradCAMPicture, "Class activation: where the network saw the class that it predicted", "Test images with the regions that speak for the predicted class coloured"},
	{trainer.SamplesPicture, "Samples: predictions, wrong ones framed in orange", "The first test images of each class with the predicted class"},
	{trainer.FiltersPicture, "Weights of the first layer: red positive, blue negative", "The weights of each filter of the first layer as an image"},
}

func (p *page) addRun(r *trainer.Run, folded bool) error {
	settings, err := yaml.Marshal(r.Config)
	if err != nil {
		return err
	}
	right := 0
	for _, ok := range r.Right {
		if ok {
			right++
		}
	}
	view := run{Run: r, Interval: statistics.Wilson(right, len(r.Right)), Best: r.BestEpoch(), Settings: string(settings), Folded: folded,
		Confusions: confusions(r.Metrics.ConfusionMatrix, mostConfusions), Reliability: bars(r.Calibration)}
	if view.Picture, err = readPicture(r.Dir, trainer.CurvesPicture, "Curves", "Loss and accuracy by epoch"); err != nil {
		return err
	}
	for _, t := range pictures {
		p, err := readPicture(r.Dir, t.file, t.title, t.alt)
		if err != nil {
			return err
		}
		if p != nil {
			view.Pictures = append(view.Pictures, *p)
		}
	}
	view.Curves, view.Rate = p.addRunPanels(r)
	p.Runs = append(p.Runs, view)
	return nil
}

// mostConfusions is the number of confusions that a run lists.
const mostConfusions = 10

// confusion is test images of one class that were taken for another.
type confusion struct {
	True, Predicted string
	Images          int
	Share           float64 // of the true class
}

// confusions returns the most frequent ones of a matrix, at most n.
func confusions(matrix [metrics.Classes][metrics.Classes]int, n int) []confusion {
	var list []confusion
	for t, row := range matrix {
		total := 0
		for _, images := range row {
			total += images
		}
		for p, images := range row {
			if p != t && images > 0 {
				list = append(list, confusion{dataset.ClassNames[t], dataset.ClassNames[p], images, float64(images) / float64(total)})
			}
		}
	}
	slices.SortStableFunc(list, func(a, b confusion) int { return cmp.Compare(b.Images, a.Images) })
	return list[:min(n, len(list))]
}

// bar is a bin of a reliability diagram, whose drawing is 100 wide and high.
type bar struct {
	metrics.Bin
	X, Width, Height, Top float64 // of the bar, which is as high as the accuracy
	DotX, DotY            float64 // mean confidence and accuracy
}

// bars returns the bins that hold images.
func bars(bins []metrics.Bin) []bar {
	var list []bar
	for _, b := range bins {
		if b.Images > 0 {
			list = append(list, bar{b, 100 * b.Low, 100 * (b.High - b.Low), 100 * b.Accuracy, 100 * (1 - b.Accuracy), 100 * b.Confidence, 100 * (1 - b.Accuracy)})
		}
	}
	return list
}

// Range names a bin: "93 to 100 %".
func (b bar) Range() string { return fmt.Sprintf("%.0f to %.0f %%", 100*b.Low, 100*b.High) }

// Val returns the validation accuracy, "" where the run has none.
func (r run) Val() string {
	if val, ok := r.ValAccuracy(); ok {
		return fmt.Sprintf("%.2f %%", 100*val)
	}
	return ""
}

// Selected returns the epoch to mark in the table, 0 for none.
func (r run) Selected() int { return selected(r.Run) }

// FewEpochs reports whether the table of epochs is short enough to be open.
func (r run) FewEpochs() bool { return len(r.Epochs) <= 20 }
