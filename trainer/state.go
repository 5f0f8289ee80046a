package trainer

import (
	"encoding/json"
	"fmt"
	"math"

	"github.com/dustin/go-humanize"
	"github.com/dustin/go-humanize/english"
)

// EpochReport is a row of results.csv. Losses are mean cross-entropies, accuracies
// are fractions.
type EpochReport struct {
	Epoch           int
	TrainLoss       float64
	TrainAccuracy   float64
	ValLoss         float64 // on the images that SelectOn names; NaN without an evaluation
	ValAccuracy     float64 // likewise, a fraction
	LR              float64 // of the epoch's last step
	Seconds         float64 // of training, without the evaluation
	ImagesPerSecond float64
	Best            bool // the highest ValAccuracy so far; without an evaluation, the latest
}

// epochJSON is an EpochReport in JSON, which has no NaN.
type epochJSON struct {
	Epoch           int      `json:"epoch"`
	TrainLoss       *float64 `json:"train_loss,omitempty"`
	TrainAccuracy   *float64 `json:"train_accuracy,omitempty"`
	ValLoss         *float64 `json:"val_loss,omitempty"`
	ValAccuracy     *float64 `json:"val_accuracy,omitempty"`
	LR              *float64 `json:"lr,omitempty"`
	Seconds         *float64 `json:"seconds,omitempty"`
	ImagesPerSecond *float64 `json:"images_per_second,omitempty"`
	Best            bool     `json:"best"`
}

// MarshalJSON implements [json.Marshaler]. It omits figures that are NaN or infinite.
func (r EpochReport) MarshalJSON() ([]byte, error) {
	optional := func(x float64) *float64 {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return nil
		}
		return &x
	}
	return json.Marshal(epochJSON{r.Epoch, optional(r.TrainLoss), optional(r.TrainAccuracy), optional(r.ValLoss), optional(r.ValAccuracy),
		optional(r.LR), optional(r.Seconds), optional(r.ImagesPerSecond), r.Best})
}

// UnmarshalJSON implements [json.Unmarshaler]. Absent figures become NaN.
func (r *EpochReport) UnmarshalJSON(text []byte) error {
	var j epochJSON
	if err := json.Unmarshal(text, &j); err != nil {
		return err
	}
	value := func(x *float64) float64 {
		if x == nil {
			return math.NaN()
		}
		return *x
	}
	*r = EpochReport{j.Epoch, value(j.TrainLoss), value(j.TrainAccuracy), value(j.ValLoss), value(j.ValAccuracy),
		value(j.LR), value(j.Seconds), value(j.ImagesPerSecond), j.Best}
	return nil
}

// runState is the state of a run on the host. With the tensors on the device, it
// is all that an exact resume needs.
type runState struct {
	Step      int           `json:"step"` // optimiser steps finished
	Slot      int           `json:"slot"` // those of them in the current epoch
	Epochs    []EpochReport `json:"epochs"`
	Schedule  Schedule      `json:"schedule"`
	Best      float64       `json:"best"` // highest ValAccuracy, -1 before the first
	BestEpoch int           `json:"best_epoch"`
	Seconds   float64       `json:"seconds"` // spent training the current epoch
	// PatienceFrom is the epoch after which the count of Patience restarted,
	// because a run that had stopped early was given more epochs.
	PatienceFrom int `json:"patience_from,omitempty"`

	// The number of rows of steps.csv in the file of tensors, and its CRC-32C.
	Logged   int    `json:"logged"`
	Checksum uint32 `json:"checksum"`
}

// stop reports whether no step is left to train and, if that is before the last
// epoch, why.
func (s *runState) stop(r Recipe) (why string, stop bool) {
	if len(s.Epochs) >= r.Epochs {
		return "", true
	}
	if r.MaxSteps > 0 && s.Step >= r.MaxSteps {
		return fmt.Sprintf("after %s %s, the limit set by max-steps", humanize.Comma(int64(s.Step)), english.PluralWord(s.Step, "step", "")), true
	}
	if without := s.withoutImprovement(); r.Patience > 0 && !r.NoEval && without >= r.Patience {
		return fmt.Sprintf("after epoch %d: no improvement for %s", len(s.Epochs), english.Plural(without, "epoch", "")), true
	}
	return "", false
}

// withoutImprovement returns the number of epochs to compare with Patience.
func (s *runState) withoutImprovement() int {
	return len(s.Epochs) - max(s.BestEpoch, s.PatienceFrom)
}

// stepsPerEpoch returns the steps per epoch that the state implies. [runState.check]
// tells whether the state agrees with them.
func (s *runState) stepsPerEpoch() int {
	if len(s.Epochs) == 0 {
		return s.Slot
	}
	return max(0, (s.Step-s.Slot)/len(s.Epochs))
}

// check returns an error that names the first value that a training with the given
// steps per epoch cannot have reached.
func (s *runState) check(r Recipe, stepsPerEpoch int) error {
	epochs := len(s.Epochs)
	switch {
	case s.Slot < 0 || s.Slot > stepsPerEpoch:
		return fmt.Errorf("slot is %d, want 0 to %d, the steps per epoch", s.Slot, stepsPerEpoch)
	case s.Step != epochs*stepsPerEpoch+s.Slot:
		return fmt.Errorf("step is %d, want %d after %d epochs of %d steps and %d more", s.Step, epochs*stepsPerEpoch+s.Slot, epochs, stepsPerEpoch, s.Slot)
	case s.Step > math.MaxInt32:
		return fmt.Errorf("step is %d, want at most %d", s.Step, math.MaxInt32)
	case !(s.Seconds >= 0 && s.Seconds <= math.MaxFloat32):
		return fmt.Errorf("seconds is %v, want a finite number of at least 0", s.Seconds)
	case s.PatienceFrom < 0 || s.PatienceFrom > epochs:
		return fmt.Errorf("patience_from is %d, want 0 to %d", s.PatienceFrom, epochs)
	case s.Logged < 0 || s.Logged > s.Step:
		return fmt.Errorf("logged is %d, want 0 to %d, the steps", s.Logged, s.Step)
	}
	for i, e := range s.Epochs {
		if err := e.check(i+1, r); err != nil {
			return err
		}
	}
	if err := s.checkBest(r); err != nil {
		return err
	}
	return s.Schedule.check(r)
}

// checkBest checks the best epoch against the epochs.
func (s *runState) checkBest(r Recipe) error {
	best := -1.
	if n := BestEpoch(s.Epochs, r.NoEval); n != s.BestEpoch {
		return fmt.Errorf("best_epoch is %d, want %d", s.BestEpoch, n)
	} else if n > 0 && !r.NoEval {
		best = s.Epochs[n-1].ValAccuracy
	}
	if s.Best != best {
		return fmt.Errorf("best is %v, want %v", s.Best, best)
	}
	return nil
}

// check returns an error that names the first value that epoch n cannot have.
func (e *EpochReport) check(n int, r Recipe) error {
	for _, v := range []struct {
		name     string
		value    float64
		min, max float64
	}{
		{"epoch", float64(e.Epoch), float64(n), float64(n)},
		{"train_loss", e.TrainLoss, -math.MaxFloat32, math.MaxFloat32},
		{"train_accuracy", e.TrainAccuracy, 0, 1},
		{"val_loss", e.ValLoss, -math.MaxFloat32, math.MaxFloat32},
		{"val_accuracy", e.ValAccuracy, 0, 1},
		{"lr", e.LR, 0, r.LR * (1 + 1e-9)}, // for rounding
		{"seconds", e.Seconds, 0, math.MaxFloat32},
		{"images_per_second", e.ImagesPerSecond, 0, math.MaxFloat32},
	} {
		if r.NoEval && (v.name == "val_loss" || v.name == "val_accuracy") {
			continue
		}
		if !(v.value >= v.min && v.value <= v.max) {
			return fmt.Errorf("%s of epoch %d is %v, want %v to %v", v.name, n, v.value, v.min, v.max)
		}
	}
	return nil
}

// BestEpoch returns the number, from 1, of the epoch whose weights were kept: the
// first with the highest ValAccuracy or, if none was evaluated because of NoEval,
// the last. It returns 0 if there is no such epoch.
func BestEpoch(epochs []EpochReport, noEval bool) int {
	if noEval {
		return len(epochs)
	}
	best := 0
	for i, e := range epochs {
		if !math.IsNaN(e.ValAccuracy) && (best == 0 || e.ValAccuracy > epochs[best-1].ValAccuracy) {
			best = i + 1
		}
	}
	return best
}
