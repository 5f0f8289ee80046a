// Package source follows a run: what its events say, and what its latest weights make of
// a sample.
package source

import (
	"fmt"
	"slices"

	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/live"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/metrics"
)

// State is what is known of a run. Its slices are shared: do not change them.
type State struct {
	Version int // another one whenever anything changes
	Run     string
	Start   *live.Start // nil before the first event
	Steps   []live.Step // thinned
	Epochs  []trainer.EpochReport
	Step    *live.Step // the latest in a running training, else nil
	End     *live.End

	Confusion      [][]int // rows are true classes; nil if unknown
	ConfusionLabel string  // what it counts

	Inside Inside
	Notes  []string // what cannot be shown, and why
}

// Inside is what the latest weights look like, and what they make of a sample.
type Inside struct {
	Version     int // another one whenever anything changes
	Epoch       int // of the weights, 0 if unknown
	Filters     []float32
	FilterShape [4]int // (N, H, W, C)

	Sample, Samples int // which one of how many; Samples is 0 without images
	Label           int // the true class
	Shape           [3]int
	Pixels          []byte // (H, W, C)
	Activations     []trainer.Activation
	Probabilities   []float32
}

// mostSteps is the number of steps that a state keeps.
const mostSteps = 4096

// add takes in an event, without what cannot be drawn of it: it may be another program's.
func (s *State) add(e live.Event) {
	s.Run = short(e.Run)
	s.Version++
	switch {
	case e.Start != nil: // also after a lost connection: all events come again
		*s = State{Version: s.Version, Run: s.Run, Start: checkedStart(*e.Start), Inside: s.Inside, Notes: s.Notes}
	case e.Step != nil:
		s.addStep(*e.Step)
	case e.Epoch != nil:
		if e.Epoch.Report.Epoch < 1 {
			return
		}
		s.Epochs = append(slices.Clone(s.Epochs), checkedReport(e.Epoch.Report))
		if m := e.Epoch.ConfusionMatrix; m != nil && len(m) <= dataset.MaxClasses && metrics.IsSquare(m) {
			s.Confusion = e.Epoch.ConfusionMatrix
			s.ConfusionLabel = fmt.Sprintf("epoch %d, %s images", e.Epoch.Report.Epoch, s.selected())
		}
	case e.End != nil:
		s.End, s.Step = checkedEnd(*e.End), nil
		if m := e.End.Metrics; m != nil && m.ConfusionMatrix != nil {
			s.Confusion, s.ConfusionLabel = m.ConfusionMatrix, "best epoch, test images"
		}
	}
}

// selected names the images that are evaluated after each epoch.
func (s *State) selected() string {
	if s.Start != nil && s.Start.SelectOn == "test" {
		return "test"
	}
	return "validation"
}

func (s *State) addStep(step live.Step) {
	if min(step.Epoch, step.Step, step.ImagesDone) < 0 || step.ImagesDone > step.Images {
		return
	}
	step.Accuracy = fraction(step.Accuracy)
	if len(s.Steps) >= mostSteps {
		var kept []live.Step
		for i, old := range s.Steps {
			if i%2 == 0 || i > len(s.Steps)/2 {
				kept = append(kept, old)
			}
		}
		s.Steps = kept
	}
	s.Steps = append(s.Steps[:len(s.Steps):len(s.Steps)], step)
	if step.Images > 0 { // not from steps.csv
		s.Step = &step
	}
}
