package trainer

import (
	"fmt"
	"runtime/debug"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/metrics"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/plots"
)

// The pictures in a run's folder. A network without convolutions has no
// GradCAMPicture, and an evaluation has no CurvesPicture. The [CAM] chosen makes
// GradCAMPicture.
const (
	CurvesPicture        = "curves.png"
	MatrixPicture        = "confusion_matrix.png"
	ROCPicture           = "roc.png"
	ReliabilityPicture   = "reliability.png"
	ClassF1Picture       = "class_f1.png"
	SamplesPicture       = "samples.png"
	MisclassifiedPicture = "misclassified.png"
	FiltersPicture       = "filters.png"
	GradCAMPicture       = "gradcam.png"
)

// writeCurves draws a training's curves.
func (f folder) writeCurves(epochs []EpochReport, selected string, best int) error {
	if f.dir == "" {
		return nil
	}
	return f.writePicture(CurvesPicture, func() ([]byte, error) { return plots.Curves(Curve(epochs), selected, best) })
}

// Curve converts the epochs to the form that package plots draws.
func Curve(epochs []EpochReport) []plots.Epoch {
	var points []plots.Epoch
	for _, e := range epochs {
		points = append(points, plots.Epoch{TrainLoss: e.TrainLoss, ValLoss: e.ValLoss, TrainAccuracy: e.TrainAccuracy, ValAccuracy: e.ValAccuracy, LR: e.LR})
	}
	return points
}

// classified is a network with its predictions for the test images.
type classified struct {
	model   *Model
	test    dataset.Split
	probs   []float32 // (N, classes)
	metrics *metrics.Metrics
	cam     CAM
}

// writePictures draws a network's predictions for the test images, its filters
// and its class activation maps.
func (f folder) writePictures(c classified) error {
	if f.dir == "" {
		return nil
	}
	labels, names := c.test.Labels, c.model.Network.Classes
	pictures := []struct {
		name string
		draw func() ([]byte, error)
	}{
		{MatrixPicture, func() ([]byte, error) { return plots.ConfusionMatrix(c.metrics.ConfusionMatrix, names) }},
		{ROCPicture, func() ([]byte, error) { return plots.ROC(labels, c.probs, names) }},
		{ReliabilityPicture, func() ([]byte, error) {
			return plots.Reliability(labels, c.probs, c.metrics.ExpectedCalibrationError)
		}},
		{ClassF1Picture, func() ([]byte, error) { return plots.ClassF1(c.metrics.PerClass) }},
		{SamplesPicture, func() ([]byte, error) { return plots.Samples(c.test, c.probs, names) }},
		{MisclassifiedPicture, func() ([]byte, error) { return plots.Misclassified(c.test, c.probs, names) }},
		{FiltersPicture, c.drawFilters},
		{GradCAMPicture, c.drawCAM},
	}
	for _, p := range pictures {
		if p.name == GradCAMPicture && !c.model.Network.HasFeatures() {
			continue
		}
		if err := f.writePicture(p.name, p.draw); err != nil {
			return err
		}
	}
	return nil
}

func (f folder) writePicture(name string, draw func() ([]byte, error)) error {
	debug.FreeOSMemory() // a picture takes about 30 MB: without this, earlier ones would pile up
	png, err := draw()
	if err != nil {
		return fmt.Errorf("draw %s: %w", name, err)
	}
	return f.write(name, png)
}

// drawFilters draws the weights of the first layer. If it is also the last layer, each
// filter belongs to a class.
func (c classified) drawFilters() ([]byte, error) {
	first, classes := c.model.net.Params[0], c.model.Network.Classes
	names := numbers(first.Layout.Out)
	if !c.model.Network.HasFeatures() && len(names) == len(classes) {
		names = classes
	}
	return plots.Filters(c.model.weights.part(c.model.net, first), names, dataset.Shape{H: first.Layout.H, W: first.Layout.W, C: first.Layout.C})
}

// The largest numbers of classes and of misclassified images in GradCAMPicture.
const (
	classesExplained  = 30
	mistakesExplained = 10
)

// drawCAM explains the first correctly classified image of each class and the
// most confident mistakes.
func (c classified) drawCAM() ([]byte, error) {
	chosen := append(c.firstRight(), metrics.Worst(c.test.Labels, c.probs, mistakesExplained)...)
	names := plots.ClassLabels(c.model.Network.Classes)
	split := dataset.Split{N: len(chosen), Shape: c.test.Shape, Labels: make([]byte, len(chosen))}
	classes := make([]int, len(chosen))
	for i, j := range chosen {
		split.Images = append(split.Images, c.test.Image(j)...)
		classes[i] = metrics.Predicted(c.row(j))
	}
	heats, err := c.model.heats(c.cam, split, classes)
	if err != nil {
		return nil, err
	}
	list := make([]plots.Attention, len(chosen))
	for i, j := range chosen {
		label := int(c.test.Labels[j])
		list[i] = plots.Attention{Image: split.Picture(i), Heat: heats[i], Class: names[classes[i]], Right: classes[i] == label,
			Caption: "true: " + names[label]}
	}
	return plots.Attentions(list, "Where the network saw the class it predicted: "+c.cam.title(),
		"The first correctly classified test image of each class, and the most confident mistakes, each next to the evidence for the predicted class in the last convolution's features.")
}

// row returns the probabilities of image i.
func (c classified) row(i int) []float32 {
	classes := len(c.model.Network.Classes)
	return c.probs[i*classes:][:classes]
}

// firstRight returns the first correctly classified image of each of the first
// classes that have one.
func (c classified) firstRight() []int {
	var chosen []int
	for class := 0; class < len(c.model.Network.Classes) && len(chosen) < classesExplained; class++ {
		for i, label := range c.test.Labels {
			if int(label) == class && metrics.Predicted(c.row(i)) == class {
				chosen = append(chosen, i)
				break
			}
		}
	}
	return chosen
}
