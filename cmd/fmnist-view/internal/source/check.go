package source

import (
	"math"
	"slices"

	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/live"
)

// The most that is taken from an event, which may be another program's: letters of a text,
// and pixels of an image's side.
const (
	mostLetters = 300
	mostSide    = 1 << 12
)

// short cuts a text.
func short(text string) string {
	if letters := []rune(text); len(letters) > mostLetters {
		return string(letters[:mostLetters]) + "…"
	}
	return text
}

// fraction returns NaN for what is none, such as the accuracy of a damaged file.
func fraction(x float64) float64 {
	if !(x >= 0 && x <= 1) {
		return math.NaN()
	}
	return x
}

// checkedStart returns the start of a run without what cannot be drawn.
func checkedStart(s live.Start) *live.Start {
	s.Network, s.Device = short(s.Network), short(s.Device)
	s.Classes = slices.Clone(s.Classes)
	if len(s.Classes) > dataset.MaxClasses {
		s.Classes = nil
	}
	for c, name := range s.Classes {
		s.Classes[c] = short(name)
	}
	h, w, channels := s.Shape[0], s.Shape[1], s.Shape[2]
	if min(h, w) < 1 || max(h, w) > mostSide || channels != 1 && channels != 3 {
		s.Shape = [3]int{}
	}
	for _, n := range []*int{&s.Parameters, &s.Epochs, &s.StepsPerEpoch, &s.Steps, &s.BatchSize} {
		*n = max(*n, 0)
	}
	return &s
}

// checkedEnd returns the end of a run without what cannot be drawn.
func checkedEnd(e live.End) *live.End {
	e.State, e.Error, e.Stopped = short(e.State), short(e.Error), short(e.Stopped)
	return &e
}

// checkedReport returns the report of an epoch without accuracies that are none.
func checkedReport(r trainer.EpochReport) trainer.EpochReport {
	r.TrainAccuracy, r.ValAccuracy = fraction(r.TrainAccuracy), fraction(r.ValAccuracy)
	return r
}

// checkedSamples returns the samples that are images and classes of the run.
func checkedSamples(samples []live.Sample, start *live.Start) []live.Sample {
	if start == nil {
		return nil
	}
	pixels, classes := start.Shape[0]*start.Shape[1]*start.Shape[2], len(start.Classes)
	return slices.DeleteFunc(slices.Clone(samples), func(s live.Sample) bool {
		return pixels == 0 || len(s.Pixels) != pixels || s.Label < 0 || s.Label >= classes || len(s.Probabilities) != classes
	})
}
