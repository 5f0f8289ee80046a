package report

import (
	"cmp"
	"fmt"
	"html/template"
	"path/filepath"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/metrics"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/statistics"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/study"
)

// run is a run that is shown in full.
type run struct {
	*study.Run
	Interval    statistics.Interval // of the test accuracy
	Best        int                 // the epoch of the weights, from 1; 0 if none was evaluated
	Settings    string              // as YAML
	Curves      int                 // index of the panel
	Rate        int                 // likewise, of the learning rate
	Picture     *picture            // the curves, for browsers without scripts; nil if there is none
	Pictures    []picture
	Confusions  []confusion
	Reliability []bar // nil if predictions.csv has no probabilities
	Folded      bool  // shown only when opened
}

// picture is a PNG in a data URL.
type picture struct {
	Title string
	Alt   string // what it shows, for readers who cannot see it
	URL   template.URL
}

// pictures lists the pictures in a run's folder, in the order of the page.
var pictures = []struct{ file, title, alt string }{
	{trainer.MatrixPicture, "Confusion matrix", "Confusion matrix: how many test images of each class were classified as each class"},
	{trainer.ROCPicture, "ROC", "ROC curve of each class against all others; the areas under the curves are in the table of classes"},
	{trainer.ClassF1Picture, "F1 by class", "Bar chart of the F1 of each class; the values are in the table of classes"},
	{trainer.MisclassifiedPicture, "Most confident mistakes: predicted class, true class and both probabilities", "Test images that the network misclassified with the highest confidence"},
	{trainer.GradCAMPicture, "Class activation: regions that support the predicted class", "Test images in which colours mark the regions that support the predicted class"},
	{trainer.SamplesPicture, "Samples: predictions, wrong ones framed in orange", "The first test images of each class with the predicted class"},
	{trainer.FiltersPicture, "Weights of the first layer: red positive, blue negative", "The weights of each filter of the first layer as an image"},
}

func (p *page) addRun(r *study.Run, folded bool) error {
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
		Confusions: confusions(r.Metrics, mostConfusions), Reliability: bars(r.Calibration)}
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

// mostConfusions is the largest number of confusions listed for a run.
const mostConfusions = 10

// confusion is the test images of one class that were classified as another.
type confusion struct {
	True, Predicted string
	Images          int
	Share           float64 // of the true class
}

// confusions returns at most n of a run's confusions, the most frequent first.
func confusions(m metrics.Metrics, n int) []confusion {
	var list []confusion
	for t, row := range m.ConfusionMatrix {
		total := 0
		for _, images := range row {
			total += images
		}
		for p, images := range row {
			if p != t && images > 0 {
				list = append(list, confusion{m.PerClass[t].Name, m.PerClass[p].Name, images, float64(images) / float64(total)})
			}
		}
	}
	slices.SortStableFunc(list, func(a, b confusion) int { return cmp.Compare(b.Images, a.Images) })
	return list[:min(n, len(list))]
}

// bar is a bin of a reliability diagram, which is 100 units wide and high.
type bar struct {
	metrics.Bin
	X, Width, Height, Top float64 // of the bar, whose height is the accuracy
	DotX, DotY            float64 // mean confidence and accuracy
}

// bars returns the bins that contain images.
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

// Dataset names the dataset that the run was trained on.
func (r run) Dataset() string {
	if r.Config.Dataset == dataset.FashionMNIST.Name {
		return "Fashion-MNIST"
	}
	return filepath.Base(r.Config.Dataset)
}

// Val returns the validation accuracy, or "" if the run has none.
func (r run) Val() string {
	if val, ok := r.ValAccuracy(); ok {
		return fmt.Sprintf("%.2f %%", 100*val)
	}
	return ""
}

// Selected returns the epoch to mark in the table, or 0 for none.
func (r run) Selected() int { return selected(r.Run) }

// FewEpochs reports whether the table of epochs is short enough to be open at first.
func (r run) FewEpochs() bool { return len(r.Epochs) <= 20 }
