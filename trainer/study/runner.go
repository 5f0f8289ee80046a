package study

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
)

// Runner trains the runs of an experiment, each in its own folder inside Dir.
type Runner struct {
	Dir     string
	Data    *dataset.Dataset
	Workers []Worker // at least one; each trains one run at a time
	// Begin is called before each run with the state that it was found in. It returns
	// what follows the run's progress, and what to call when the run has ended: with its
	// result, or nil if it was finished before or has failed.
	Begin func(c Config, dir string, found trainer.RunState) (p trainer.Progress, end func(*trainer.Result) error)
}

// Worker trains runs on a backend.
type Worker struct {
	Backend     kernels.Backend
	Environment trainer.Environment
	// Place sets the settings that say how and where the worker's runs run. nil for
	// none.
	Place func(c *Config)
}

// Train trains the runs that are not finished and resumes those in progress. It
// trains none if the settings of one do not fit the dataset ([trainer.ErrUsage]). A
// training that diverges does not stop the others. The error is
// [trainer.ErrInterrupted] if ctx is cancelled; see [Experiment.Each].
func (r Runner) Train(ctx context.Context, e Experiment) error {
	if err := e.Fit(r.Data.Info); err != nil {
		return err
	}
	return e.Each(ctx, len(r.Workers), func(ctx context.Context, worker int, c Config) error {
		w := r.Workers[worker]
		c.Out = r.Dir
		if w.Place != nil {
			w.Place(&c)
		}
		return r.train(ctx, w, c)
	})
}

// train trains one run, or resumes it.
func (r Runner) train(ctx context.Context, w Worker, c Config) error {
	dir := filepath.Join(r.Dir, c.Name)
	found, err := trainer.StateOfRun(dir)
	if err != nil {
		return err
	}
	if found == trainer.RunFinished { // a comparison of runs on different images would mislead
		if err := trainer.CheckDataset(dir, r.Data); err != nil {
			return err
		}
	}
	progress, end := r.Begin(c, dir, found)
	if found == trainer.RunFinished {
		return end(nil)
	}
	// The checkpoints of many finished runs take much space, and few are resumed.
	result, err := Train(ctx, c, r.Data, w.Backend, trainer.Options{Dir: dir, Environment: w.Environment, Progress: progress,
		Resume: found != trainer.RunNew, Restart: true, DropCheckpoint: true})
	return errors.Join(err, end(result))
}

// Train trains as the settings say, on the dataset and backend that were opened for
// them; see [trainer.Train]. It sets the options that the settings determine.
func Train(ctx context.Context, c Config, data *dataset.Dataset, backend kernels.Backend, o trainer.Options) (*trainer.Result, error) {
	n, err := c.BuildNetwork(data.Info)
	if err != nil {
		return nil, err
	}
	if o.Settings, err = c.Absolute(); err != nil {
		return nil, err
	}
	o.InitFrom, o.LogEvery = c.InitFrom, c.LogEvery
	return trainer.Train(ctx, c.Recipe, n, data, backend, o)
}

// Count counts the experiment's runs in a folder, and those that are not finished. A
// folder that holds another training is [trainer.ErrUsage].
func (e Experiment) Count(dir string) (total, left int, err error) {
	for _, g := range e.Groups {
		for _, c := range g.Runs {
			run := filepath.Join(dir, c.Name)
			state, err := trainer.StateOfRun(run)
			if err == nil && (state == trainer.RunFinished || state == trainer.RunInProgress) {
				err = CheckRun(run, c)
			}
			if err != nil {
				return 0, 0, err
			}
			if total++; state != trainer.RunFinished {
				left++
			}
		}
	}
	return total, left, nil
}

// Fit returns an error ([trainer.ErrUsage]) if the settings of a run do not fit the
// images and classes of a dataset.
func (e Experiment) Fit(d dataset.Info) error {
	for _, g := range e.Groups {
		for _, c := range g.Runs {
			if err := c.CheckFor(d); err != nil {
				return fmt.Errorf("%s: %w", c.Name, err)
			}
		}
	}
	return nil
}

// Precision returns the precision that a device must support for all runs.
func (e Experiment) Precision() kernels.Precision {
	for _, g := range e.Groups {
		for _, c := range g.Runs {
			if c.Recipe.Precision == kernels.Mixed.String() {
				return kernels.Mixed
			}
		}
	}
	return kernels.FP32
}

// Tidy removes what the groups' finished runs no longer need, and what killed
// programs left in their folders.
func Tidy(groups []RunGroup) error {
	for _, g := range groups {
		for _, r := range g.Runs {
			if err := errors.Join(trainer.TidyRun(r.Dir), trainer.DropCheckpoint(r.Dir)); err != nil {
				return err
			}
		}
	}
	return nil
}
