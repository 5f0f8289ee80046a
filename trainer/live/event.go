// Package live gives a training's progress as a stream of events, in one process or
// from one to another.
//
// A [Hub] is a [trainer.Progress] that any number of subscribers can listen to;
// [Replay] reads the same events from a run's folder, and [Follow] receives them from
// a server (package web).
package live

import (
	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/metrics"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/model"
)

// The types of an [Event].
const (
	TypeStart = "start"
	TypeStep  = "step"
	TypeEpoch = "epoch"
	TypeEnd   = "end"
)

// Event is one of the things that happen in a run. Type says which of the pointers is
// not nil. Events are shared between subscribers: do not change what they point to.
type Event struct {
	Type  string `json:"type"`
	Run   string `json:"run"` // name of the run's folder, "" without one
	Start *Start `json:"start,omitempty"`
	Step  *Step  `json:"step,omitempty"`
	Epoch *Epoch `json:"epoch,omitempty"`
	End   *End   `json:"end,omitempty"`
}

// Start describes the run. It is the first event.
type Start struct {
	Network       string               `json:"network"`
	Layers        []model.LayerSummary `json:"layers"`
	Parameters    int                  `json:"parameters"` // trainable
	Device        string               `json:"device"`
	Epochs        int                  `json:"epochs"`          // at most
	FirstEpoch    int                  `json:"first_epoch"`     // 1, or more in a run that was resumed
	StepsPerEpoch int                  `json:"steps_per_epoch"` // 0 if unknown, in a replay
	Steps         int                  `json:"steps"`           // in the run, unless it stops early; 0 if unknown
	BatchSize     int                  `json:"batch_size"`
	TrainImages   int                  `json:"train_images"`  // per epoch; 0 if unknown
	SelectImages  int                  `json:"select_images"` // evaluated after each epoch; 0 if none or unknown
	SelectOn      string               `json:"select_on"`     // val or test
	Classes       []string             `json:"classes"`
	Shape         [3]int               `json:"shape"` // of an image: height, width, channels
	Notes         []string             `json:"notes,omitempty"`
}

// Step is the state of the training after some steps, a few times per second. A replay
// has the steps of steps.csv, with only Epoch, Step and RecentLoss.
type Step struct {
	Epoch           int     `json:"epoch"`             // 1 is the first
	Step            int     `json:"step"`              // of the run; 1 is the first
	ImagesDone      int     `json:"images_done"`       // of the epoch
	Images          int     `json:"images"`            // in the epoch
	Loss            float64 `json:"loss"`              // mean over the epoch's images so far
	RecentLoss      float64 `json:"recent_loss"`       // mean over the images since the last report
	Accuracy        float64 `json:"accuracy"`          // over the epoch's images so far, a fraction
	ImagesPerSecond float64 `json:"images_per_second"` // since the last report
	ETASeconds      float64 `json:"eta_seconds"`       // left in the run, evaluations included; 0 if unknown
}

// Epoch is the outcome of an epoch. When it is sent, weights/last.safetensors in the
// run's folder holds the epoch's weights.
type Epoch struct {
	Report trainer.EpochReport `json:"report"`
	// ConfusionMatrix counts the evaluated images; rows are true classes, columns
	// predicted ones. A hub's history has it and Samples for the last epoch only, a
	// replay has neither.
	ConfusionMatrix [][]int  `json:"confusion_matrix,omitempty"`
	Samples         []Sample `json:"samples,omitempty"`
}

// Sample is one of a few evaluated images, the same ones in every epoch.
type Sample struct {
	Index         int       `json:"index"` // among the evaluated images
	Label         int       `json:"label"`
	Pixels        []byte    `json:"pixels"` // (H, W, C)
	Probabilities []float32 `json:"probabilities"`
}

// The states in which a run ends.
const (
	Finished    = "finished"
	Interrupted = "interrupted"
	Failed      = "failed"
)

// End is the last event.
type End struct {
	State   string           `json:"state"` // finished, interrupted or failed
	Error   string           `json:"error,omitempty"`
	Stopped string           `json:"stopped,omitempty"` // why it ended before its last epoch
	Metrics *metrics.Metrics `json:"metrics,omitempty"` // of the best epoch's weights on the test images, if finished
}
