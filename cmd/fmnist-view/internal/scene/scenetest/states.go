// Package scenetest makes states of runs, for tests of what shows them.
package scenetest

import (
	"fmt"
	"math"

	"github.com/fmnist-gpu/fmnist-gpu/cmd/fmnist-view/internal/source"
	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/live"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/metrics"
)

// Training is a run in the middle of its third epoch, on images of 28×28 with a number
// of channels.
func Training(classes, channels int) source.State {
	s := source.State{Run: "a-run", Start: &live.Start{Network: "net", Parameters: 12345, Epochs: 5, StepsPerEpoch: 100, BatchSize: 64,
		Device: "a device", Shape: [3]int{28, 28, channels}}}
	for c := range classes {
		s.Start.Classes = append(s.Start.Classes, fmt.Sprint("class with a name ", c))
		row := make([]int, classes)
		row[c], row[(c+1)%classes] = 90, 10
		s.Confusion = append(s.Confusion, row)
	}
	s.ConfusionLabel = "epoch 2, validation images"
	for i := range 250 {
		s.Steps = append(s.Steps, live.Step{Epoch: i/100 + 1, Step: i + 1, ImagesDone: i%100*64 + 64, Images: 6400, ImagesPerSecond: 1000,
			Loss: 1, RecentLoss: 2 / math.Sqrt(float64(i+1)), Accuracy: 1 - 1/math.Sqrt(float64(i+2)), ETASeconds: 200})
	}
	s.Step = &s.Steps[249]
	for e := range 2 {
		s.Epochs = append(s.Epochs, trainer.EpochReport{Epoch: e + 1, TrainLoss: .5 / float64(e+1), ValLoss: .6 / float64(e+1),
			TrainAccuracy: .8 + .05*float64(e), ValAccuracy: .79 + .05*float64(e), Seconds: 60, ImagesPerSecond: 100})
	}
	s.Inside = inside(classes, channels)
	return s
}

func inside(classes, channels int) source.Inside {
	in := source.Inside{Version: 1, Epoch: 2, Filters: wave(32 * 9 * channels), FilterShape: [4]int{32, 3, 3, channels},
		Sample: 3, Samples: 10000, Label: 1, Shape: [3]int{28, 28, channels}, Probabilities: make([]float32, classes)}
	for i := range 28 * 28 * channels {
		in.Pixels = append(in.Pixels, byte(i))
	}
	in.Probabilities[0], in.Probabilities[1] = .7, .3
	for i, shape := range [][]int{{28, 28, 16}, {28, 28, 16}, {14, 14, 32}, {7, 7, 128}, {512}, {512}, {classes}} {
		n := 1
		for _, d := range shape {
			n *= d
		}
		in.Activations = append(in.Activations, trainer.Activation{Layers: []string{fmt.Sprint("layer", i)}, Shape: shape, Values: wave(n)})
	}
	return in
}

func wave(n int) []float32 {
	values := make([]float32, n)
	for i := range values {
		values[i] = float32(math.Sin(float64(i)))
	}
	return values
}

// Diverged is a run whose figures and weights are no numbers.
func Diverged() source.State {
	s := Training(10, 1)
	nan := float32(math.NaN())
	for _, values := range [][]float32{s.Inside.Filters, s.Inside.Probabilities, s.Inside.Activations[0].Values, s.Inside.Activations[6].Values} {
		for i := range values {
			values[i] = nan
		}
	}
	for i := range s.Steps {
		s.Steps[i].RecentLoss, s.Steps[i].Accuracy = math.NaN(), math.NaN()
	}
	for i := range s.Epochs {
		s.Epochs[i].TrainLoss, s.Epochs[i].ValLoss, s.Epochs[i].ValAccuracy = math.Inf(1), math.NaN(), math.NaN()
	}
	return s
}

// Finished is a run that has ended, without logged steps.
func Finished() source.State {
	s := Training(10, 1)
	s.Steps, s.Step = nil, nil
	s.End = &live.End{State: live.Finished, Metrics: &metrics.Metrics{Accuracy: .92}}
	return s
}
