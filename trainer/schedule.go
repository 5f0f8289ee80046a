package trainer

import (
	"fmt"
	"math"
)

// Schedule is a learning-rate schedule and its state. The zero values of the
// state fields are those before the first epoch.
type Schedule struct {
	Kind  string  `json:"kind"`  // plateau, none, onecycle or cosine
	Rate  float64 `json:"rate"`  // the initial rate; plateau lowers it
	Steps int     `json:"steps"` // optimiser steps of the whole run
	// Warmup is the number of steps that raise the rate from near 0: linearly, before
	// the schedule of the remaining steps, but for onecycle, which has such steps of its
	// own, 30 % of all where Warmup is 0.
	Warmup int `json:"warmup,omitempty"`

	Best      float64 `json:"best"`       // of plateau: highest accuracy so far
	BadEpochs int     `json:"bad_epochs"` // of plateau: epochs without improvement
}

// The constants of the schedules: ReduceLROnPlateau as the original set it, and the
// learning rates of OneCycleLR with PyTorch's defaults; momentum does not change here
// (cycle_momentum=False).
const (
	plateauFactor    = .5
	plateauPatience  = 2
	plateauThreshold = 1e-4 // relative
	plateauMinChange = 1e-8

	onecycleWarmup   = .3 // share of the steps that raise the rate
	onecycleStart    = 25 // peak rate / first rate
	onecycleFinalDiv = 1e4
)

// check returns an error that names the first value that the schedule of a
// training with the recipe r cannot have.
func (s *Schedule) check(r Recipe) error {
	switch {
	case s.Kind != r.Scheduler:
		return fmt.Errorf("the schedule is %q, want %s", s.Kind, r.Scheduler)
	case !(s.Rate > 0 && s.Rate <= r.LR):
		return fmt.Errorf("the schedule's rate is %v, want more than 0 and at most %v", s.Rate, r.LR)
	case s.Steps < 1:
		return fmt.Errorf("the schedule has %d steps, want at least 1", s.Steps)
	case s.Warmup < 0 || s.Warmup > 0 && r.Warmup == 0:
		return fmt.Errorf("the schedule's warmup is %d steps, but that of the run is %v epochs", s.Warmup, r.Warmup)
	case !(s.Best >= 0 && s.Best <= 1):
		return fmt.Errorf("the schedule's best is %v, want an accuracy from 0 to 1", s.Best)
	case s.BadEpochs < 0 || s.BadEpochs > plateauPatience:
		return fmt.Errorf("the schedule's bad_epochs is %d, want 0 to %d", s.BadEpochs, plateauPatience)
	}
	return nil
}

// warmupSteps returns the nearest number of steps to so many epochs, at least 1 unless
// they are 0, which leaves the warm-up of onecycle to the schedule.
func warmupSteps(epochs float64, perEpoch int) int {
	if epochs == 0 {
		return 0
	}
	return max(1, int(math.Round(epochs*float64(perEpoch))))
}

// resize sets the schedule's number of steps. It reports whether that changes the
// rates of the remaining steps.
func (s *Schedule) resize(steps int) bool {
	changed := s.Steps != steps && (s.Kind == "onecycle" || s.Kind == "cosine")
	s.Steps = steps
	return changed
}

// At returns the learning rate of an optimiser step, counted from 0.
// cosine is Loshchilov & Hutter's (2017) annealing to 0 without restarts. The warm-up
// is Goyal et al.'s (2017), in PyTorch's terms SequentialLR of a
// LinearLR(start_factor=1/(Warmup+1), total_iters=Warmup) and of the schedule.
func (s *Schedule) At(step int) float64 {
	switch {
	case s.Kind == "onecycle":
		return s.onecycle(float64(step))
	case step < s.Warmup:
		return s.Rate * float64(step+1) / float64(s.Warmup+1)
	case s.Kind == "cosine":
		return anneal(s.Rate, 0, float64(step-s.Warmup)/float64(max(1, s.Steps-s.Warmup)))
	}
	return s.Rate
}

// onecycle is Smith & Topin's (2018) schedule in PyTorch's form with cosine ramps.
func (s *Schedule) onecycle(step float64) float64 {
	first, last := s.Rate/onecycleStart, s.Rate/onecycleStart/onecycleFinalDiv
	peak := onecycleWarmup*float64(s.Steps) - 1
	if s.Warmup > 0 {
		peak = float64(s.Warmup - 1)
	}
	if step <= peak {
		return anneal(first, s.Rate, step/max(peak, 1))
	}
	return anneal(s.Rate, last, (step-peak)/(float64(s.Steps-1)-peak))
}

// anneal goes from a to b along half a cosine as t goes from 0 to 1.
func anneal(a, b, t float64) float64 {
	return b + (a-b)/2*(1+math.Cos(math.Pi*min(max(t, 0), 1)))
}

// EpochDone updates the schedule with an epoch's accuracy, a fraction. Only plateau
// uses it, as PyTorch's ReduceLROnPlateau(mode="max") does: after more than 2
// epochs in a row that do not exceed the best accuracy by a relative 1e-4, it
// halves the rate.
func (s *Schedule) EpochDone(accuracy float64) {
	if s.Kind != "plateau" {
		return
	}
	if accuracy > s.Best*(1+plateauThreshold) {
		s.Best, s.BadEpochs = accuracy, 0
		return
	}
	s.BadEpochs++
	if s.BadEpochs > plateauPatience {
		if lower := s.Rate * plateauFactor; s.Rate-lower > plateauMinChange {
			s.Rate = lower
		}
		s.BadEpochs = 0
	}
}
