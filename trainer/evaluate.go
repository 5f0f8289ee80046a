package trainer

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/internal/atomicfile"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/metrics"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/model"
)

// Evaluation is the outcome of [Model.Evaluate].
type Evaluation struct {
	Metrics       *metrics.Metrics
	Images        dataset.Split
	Probabilities []float32 // (N, classes), in the split's order
	Seconds       float64   // time to classify the split, without set-up

	model *Model
}

// Evaluate classifies a split and computes all metrics. A split that is empty,
// inconsistent or of other images than the model's is [dataset.ErrBadData].
func (m *Model) Evaluate(ctx context.Context, images dataset.Split) (*Evaluation, error) {
	if err := checkSplit("evaluated", images, m.info()); err != nil {
		return nil, err
	}
	s, err := m.open(evaluating(model.Config{Network: m.Network}, m.backend, images.N), images)
	if err != nil {
		return nil, err
	}
	defer s.close()
	start := time.Now()
	figures, probs, err := s.measure(ctx, indices(0, images.N), images.Labels)
	if err != nil {
		return nil, err
	}
	seconds := time.Since(start).Seconds()
	figures.ImagesPerSecond = float64(images.N) / seconds
	figures.Protocol = m.Origin.Protocol
	return &Evaluation{Metrics: figures, Images: images, Probabilities: probs, Seconds: seconds, model: m}, nil
}

// Model returns the model that was evaluated.
func (e *Evaluation) Model() *Model { return e.model }

// Write writes the predictions, pictures and metrics to a folder, which it creates; cam is the
// method for [GradCAMPicture], an unknown one [ErrUsage]. The metrics come last, and those of
// an earlier evaluation go first: where they are, the other files are of the same evaluation.
func (e *Evaluation) Write(dir string, cam CAM) error {
	if err := cam.check(); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return fmt.Errorf("cannot create the folder %s: %w", dir, cause(err))
	}
	out := folder{dir}
	for _, name := range []string{MetricsFile, GradCAMPicture} { // the latter is not drawn of every network
		if err := atomicfile.Remove(out.path(name)); err != nil {
			return fmt.Errorf("cannot remove %s: %w", out.path(name), cause(err))
		}
	}
	if err := out.writePredictions(nil, e.Images, e.Probabilities); err != nil {
		return err
	}
	if err := out.writePictures(classified{e.model, e.Images, e.Probabilities, e.Metrics, cam}); err != nil {
		return err
	}
	return out.writeMetrics(e.Metrics)
}

// Without returns what follows from the predictions, as [metrics.Compute] does, for the
// images other than those with the given indices. Indices that do not ascend, or are not
// those of images, are [ErrUsage].
func (e *Evaluation) Without(indices []int) (*metrics.Metrics, error) {
	for i, index := range indices {
		if index < 0 || index >= len(e.Images.Labels) || i > 0 && index <= indices[i-1] {
			return nil, usage("the index %d to leave out, number %d: want ascending ones from 0 to %d", index, i, len(e.Images.Labels)-1)
		}
	}
	classes := e.model.Network.Classes
	var labels []byte
	var probabilities []float32
	for i, label := range e.Images.Labels {
		if _, found := slices.BinarySearch(indices, i); !found {
			labels = append(labels, label)
			probabilities = append(probabilities, e.Probabilities[i*len(classes):][:len(classes)]...)
		}
	}
	return metrics.Compute(labels, probabilities, classes)
}

// WritePredictions writes the predictions to path, in the format of a run's
// predictions.csv.
func (e *Evaluation) WritePredictions(path string) error {
	return metrics.WritePredictions(path, nil, e.Images.Labels, e.Probabilities)
}

// measure classifies the images with the given indices and computes all metrics
// against their labels. The probabilities are (len(labels), classes).
func (s *session) measure(ctx context.Context, indices []uint32, labels []byte) (*metrics.Metrics, []float32, error) {
	eval, err := s.evaluate(ctx, indices)
	if err != nil {
		return nil, nil, err
	}
	return s.measured(eval, labels)
}

// measured computes the metrics of an evaluation that has just run.
func (s *session) measured(eval evaluation, labels []byte) (*metrics.Metrics, []float32, error) {
	if eval.loss-eval.loss != 0 {
		return nil, nil, badCheckpoint("with these weights the loss of the images is %v; train again with a lower learning rate", eval.loss)
	}
	network := s.net.Config.Network
	probs := make([]float32, len(labels)*len(network.Classes))
	if err := s.prog.Read(s.net.Probs.First(len(labels)), kernels.AsBytes(probs)); err != nil {
		return nil, nil, err
	}
	m, err := metrics.Compute(labels, probs, network.Classes)
	if err != nil {
		return nil, nil, err
	}
	m.Loss = eval.loss // computed from the logits: exact even if a probability is rounded to 0
	m.Parameters = s.net.ParameterCount()
	m.ModelBytes = int64(4 * (m.Parameters + runningStatistics(s.net)))
	m.FLOPsPerImage = flopsPerImage(network)
	m.PeakDeviceMemoryBytes = int64(s.prog.MemoryBytes())
	m.PeakHostMemoryBytes = peakHostMemory()
	return m, probs, nil
}

// flopsPerImage counts the multiplications and additions of the network's
// convolutions and fully connected layers per image, as is customary.
func flopsPerImage(n model.Network) int {
	sum := 0
	layers, err := n.Summary()
	if err != nil {
		panic(err) // cannot happen: the network has been built
	}
	for _, l := range layers {
		sum += l.FLOPs
	}
	return sum
}

// runningStatistics counts the elements of the running means and variances.
func runningStatistics(net *model.Net) int {
	n := 0
	for _, s := range net.Stats {
		n += s.Tensor.Len()
	}
	return n
}
