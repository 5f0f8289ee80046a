package study

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/checkpoint"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/metrics"
)

// Run holds the content of a finished run's folder.
type Run struct {
	Dir         string
	Config      Config
	Environment trainer.Environment
	Epochs      []trainer.EpochReport // without Best
	Metrics     metrics.Metrics
	Labels      []byte        // of the test images
	Right       []bool        // whether each is classified correctly
	Calibration []metrics.Bin // nil if predictions.csv has no probabilities
}

// ReadRun reads the folder of a finished run. A folder that is none is [trainer.ErrUsage];
// the error of one that has a damaged file, or lacks one, is [checkpoint.ErrBadCheckpoint]
// and names it.
func ReadRun(dir string) (*Run, error) {
	if _, err := os.Stat(filepath.Join(dir, trainer.MetricsFile)); errors.Is(err, fs.ErrNotExist) {
		return nil, usage("%s is not a finished run: it has no %s", dir, trainer.MetricsFile)
	}
	config, err := ReadArgs(dir)
	if err != nil {
		return nil, err
	}
	r := &Run{Dir: dir, Config: config}
	if r.Environment, err = trainer.ReadEnvironment(dir); err != nil {
		return nil, err
	}
	if err := r.readResults(); err != nil {
		return nil, fmt.Errorf("%w: %w; restore that file from a copy, or train the run again", checkpoint.ErrBadCheckpoint, err)
	}
	return r, nil
}

// readResults reads what the training has written last.
func (r *Run) readResults() error {
	m, err := metrics.Read(filepath.Join(r.Dir, trainer.MetricsFile))
	if err != nil {
		return err
	}
	r.Metrics = *m
	if r.Epochs, err = trainer.ReadEpochs(r.Dir); err != nil {
		return err
	}
	predictions, err := metrics.ReadPredictions(filepath.Join(r.Dir, trainer.PredictionsFile))
	if err != nil {
		return err
	}
	if n := len(predictions.Labels); m.Images > 0 && n != m.Images { // older versions have not written it
		return fmt.Errorf("%s has %d images, but %d were evaluated", filepath.Join(r.Dir, trainer.PredictionsFile), n, m.Images)
	}
	r.Labels = predictions.Labels
	if predictions.Probabilities != nil {
		r.Calibration = metrics.Calibration(predictions.Labels, predictions.Probabilities)
	}
	for i, label := range r.Labels {
		r.Right = append(r.Right, predictions.Predicted[i] == label)
	}
	return nil
}

// BestEpoch returns the number of the epoch whose weights were kept; see
// [trainer.BestEpoch].
func (r *Run) BestEpoch() int { return trainer.BestEpoch(r.Epochs, r.Config.NoEval) }

// ValAccuracy returns the accuracy of the best epoch on the held-out images, a
// fraction, and whether the run has one: it does not if it selected its best
// epoch on the test images or evaluated no epoch.
func (r *Run) ValAccuracy() (float64, bool) {
	best := r.BestEpoch()
	if r.Metrics.Protocol != "val" || best == 0 {
		return 0, false
	}
	return r.Epochs[best-1].ValAccuracy, true
}

// Name returns the name of the run's folder.
func (r *Run) Name() string { return filepath.Base(r.Dir) }

// FindRuns returns the folders of runs: each of dirs that is one, and the finished
// runs, sorted by name, in each that is not. It lists no folder twice. unfinished are
// the names of the other runs in these. A folder that neither is a run nor holds a
// finished one is [trainer.ErrUsage].
func FindRuns(dirs []string) (runs, unfinished []string, err error) {
	add := func(dir string) {
		if dir = filepath.Clean(dir); !slices.Contains(runs, dir) {
			runs = append(runs, dir)
		}
	}
	for _, dir := range dirs {
		if _, err := os.Stat(filepath.Join(dir, trainer.ArgsFile)); err == nil {
			add(dir)
			continue
		}
		entries, err := os.ReadDir(dir)
		if err != nil {
			return nil, nil, usage("%s is not a run's folder: %v", dir, cause(err))
		}
		before := len(runs)
		for _, e := range entries {
			inner := filepath.Join(dir, e.Name())
			if _, err := os.Stat(filepath.Join(inner, trainer.ArgsFile)); err != nil {
				continue
			}
			if state, err := trainer.StateOfRun(inner); err == nil && state == trainer.RunFinished {
				add(inner)
			} else {
				unfinished = append(unfinished, e.Name())
			}
		}
		if len(runs) == before {
			return nil, nil, usage("%s is not a run's folder and holds no finished run", dir)
		}
	}
	return runs, unfinished, nil
}
