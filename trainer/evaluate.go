package trainer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/checkpoint"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/metrics"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/model"
)

// Evaluation is the outcome of [Evaluate].
type Evaluation struct {
	Model         string
	Metrics       *metrics.Metrics
	Labels        []byte    // (N), the true classes
	Probabilities []float32 // (N, 10), in the split's order
	Seconds       float64   // time to classify the split, without set-up
}

// Evaluate classifies a split with the weights of a checkpoint: a safetensors or
// PyTorch file, or a run's folder, for its best weights. The model is the one
// that the file's metadata describes or, without a description, the built-in one
// that the tensors fit. If dir is not "", Evaluate creates that folder and writes the metrics, predictions and pictures to it; cam is the
// method for [GradCAMPicture]. An unusable checkpoint is
// [checkpoint.ErrBadCheckpoint], an empty or inconsistent split is
// [dataset.ErrBadData].
func Evaluate(ctx context.Context, backend kernels.Backend, path string, split dataset.Split, dir string, cam CAM) (*Evaluation, error) {
	if err := checkSplit("evaluated", split); err != nil {
		return nil, err
	}
	path, err := WeightsFile(path)
	if err != nil {
		return nil, err
	}
	f, err := checkpoint.Load(path)
	if err != nil {
		return nil, err
	}
	network, err := networkOf(f)
	if err != nil {
		return nil, fmt.Errorf("checkpoint %s: %w", path, err)
	}
	s, err := open(backend, model.Config{Network: network, EvalBatches: evalBatches(split.N), EvalImages: split.N}, split)
	if err != nil {
		return nil, err
	}
	defer s.close()
	weights, err := parseSnapshot(s.net, f)
	if err != nil {
		return nil, fmt.Errorf("checkpoint %s: %w", path, err)
	}
	if err := weights.write(s.net, s.prog); err != nil {
		return nil, err
	}
	start := time.Now()
	m, probs, err := s.measure(ctx, indices(0, split.N), split.Labels)
	if err != nil {
		return nil, err
	}
	seconds := time.Since(start).Seconds()
	m.ImagesPerSecond = float64(split.N) / seconds
	m.Protocol = protocolOf(f.Metadata)
	if out := (folder{dir}); dir != "" {
		if err := os.MkdirAll(dir, 0o777); err != nil {
			return nil, fmt.Errorf("cannot create the folder %s: %w", dir, cause(err))
		}
		err := errors.Join(out.writePredictions(nil, split.Labels, probs),
			out.writePictures(classified{backend, s.net, weights, split, probs, m, cam}), out.writeMetrics(m))
		if err != nil {
			return nil, err
		}
	}
	return &Evaluation{Model: network.Name, Metrics: m, Labels: split.Labels, Probabilities: probs, Seconds: seconds}, nil
}

// protocolOf returns the protocol that a file's metadata names. Metadata can be
// anybody's text, which is neither printed nor written.
func protocolOf(metadata map[string]string) string {
	switch p := metadata["select_on"]; p {
	case "val", "test", noProtocol:
		return p
	}
	return "unknown"
}

// measure classifies the images with the given indices and computes all metrics
// against their labels. The probabilities are (len(labels), 10).
func (s *session) measure(ctx context.Context, indices []uint32, labels []byte) (*metrics.Metrics, []float32, error) {
	eval, err := s.evaluate(ctx, indices)
	if err != nil {
		return nil, nil, err
	}
	probs := make([]float32, len(indices)*dataset.Classes)
	if err := s.prog.Read(s.net.Probs.First(len(indices)), kernels.AsBytes(probs)); err != nil {
		return nil, nil, err
	}
	m, err := metrics.Compute(labels, probs)
	if err != nil {
		return nil, nil, err
	}
	m.Loss = eval.loss // computed from the logits: exact even if a probability is rounded to 0
	m.Parameters = s.net.ParameterCount()
	m.ModelBytes = int64(4 * (m.Parameters + runningStatistics(s.net)))
	m.FLOPsPerImage = flopsPerImage(s.net.Config.Network)
	m.PeakDeviceMemoryBytes = int64(s.prog.MemoryBytes())
	m.PeakHostMemoryBytes = peakHostMemory()
	return m, probs, nil
}

// flopsPerImage counts the multiplications and additions of the network's
// convolutions and fully connected layers per image, as is
// customary.
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

// WritePredictions writes an evaluation's predictions to path, in the format of
// a run's predictions.csv.
func WritePredictions(path string, e *Evaluation) error {
	return metrics.WritePredictions(path, nil, e.Labels, e.Probabilities)
}
