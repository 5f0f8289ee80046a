package study

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/model"
)

// Runner trains the runs of an experiment, each in its own folder.
type Runner struct {
	Dir  string // where the runs' folders are; "" for where each run's Out says
	Data *dataset.Dataset
	// Workers are at least one; each trains one batch of runs at a time. Those on backends
	// that are [kernels.Threader] share as many threads as the first of them has.
	Workers []Worker
	// Replicas is the most runs of a batch, which differ only in the seed and are
	// trained at once; see [trainer.TrainReplicas]. 0 means 1.
	Replicas int
	// KeepCheckpoints lets finished runs be resumed with more epochs. The checkpoints
	// of many runs take much space.
	KeepCheckpoints bool
	// StopAfter is the epoch after which runs stop; see [trainer.Options].
	StopAfter int
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
// training that diverges does not stop the others: Train returns all such errors
// together. If ctx is cancelled, the error is [trainer.ErrInterrupted].
func (r Runner) Train(ctx context.Context, e Experiment) error {
	if err := e.Fit(r.Data.Info); err != nil {
		return err
	}
	batches, err := r.batches(e)
	if err != nil {
		return err
	}
	s := shares{busy: make([]bool, len(r.Workers)), left: len(batches)}
	for _, w := range r.Workers {
		if t, ok := w.Backend.(kernels.Threader); ok && s.threads == 0 {
			s.threads = t.Threads()
		}
	}
	return each(ctx, len(r.Workers), batches, func(ctx context.Context, worker int, runs []Config) error {
		own := s.begin()
		defer own.end()
		return r.train(ctx, r.Workers[worker], runs, own)
	})
}

// place returns the settings of a run with the folder that it is in.
func (r Runner) place(c Config) (placed Config, dir string) {
	if r.Dir != "" {
		c.Out = r.Dir
	}
	return c, filepath.Join(c.Out, c.Name)
}

// batches divides the experiment's runs into those that are trained at once: as few
// batches as possible, of about the same size. A finished run is a batch of its own.
func (r Runner) batches(e Experiment) ([][]Config, error) {
	var keys []string
	alike := map[string][]Config{}
	for _, g := range e.Groups {
		for _, c := range g.Runs {
			key := c.recipe()
			placed, dir := r.place(c)
			if found, err := stateOf(dir, placed); err != nil {
				return nil, err
			} else if found == trainer.RunFinished || r.Replicas <= 1 {
				key = dir
			}
			if alike[key] == nil {
				keys = append(keys, key)
			}
			alike[key] = append(alike[key], c)
		}
	}
	var batches [][]Config
	for _, key := range keys {
		runs, most := alike[key], max(1, r.Replicas)
		n := (len(runs) + most - 1) / most
		batches = slices.AppendSeq(batches, slices.Chunk(runs, (len(runs)+n-1)/n))
	}
	return batches, nil
}

// stateOf is [trainer.StateOfRun], but a finished run is in progress if its settings
// leave it more to train.
func stateOf(dir string, c Config) (trainer.RunState, error) {
	state, err := trainer.StateOfRun(dir)
	if err != nil || state != trainer.RunFinished {
		return state, err
	}
	if result, err := trainer.FinishedRun(dir, c.Recipe); err != nil || result == nil {
		return trainer.RunInProgress, err
	}
	return state, nil
}

// train trains or resumes a batch of runs, on the present number of threads.
func (r Runner) train(ctx context.Context, w Worker, runs []Config, own *share) error {
	if w.Environment.Threads > 0 {
		w.Environment.Threads = own.threads()
	}
	var options []trainer.Options
	var ends []func(*trainer.Result) error
	for i := range runs {
		c, dir := r.place(runs[i])
		if w.Place != nil {
			w.Place(&c)
		}
		runs[i] = c
		found, err := stateOf(dir, c)
		if err != nil {
			return err
		}
		if found == trainer.RunFinished { // a comparison of runs on different images would mislead
			if err := trainer.CheckDataset(dir, r.Data); errors.Is(err, dataset.ErrBadData) {
				return fmt.Errorf("%w, or choose another folder", err)
			} else if err != nil {
				return err
			}
		}
		progress, end := r.Begin(c, dir, found)
		if found == trainer.RunFinished { // a batch of its own
			return end(nil)
		}
		ends = append(ends, end)
		options = append(options, trainer.Options{Dir: dir, Environment: w.Environment, Progress: progress,
			Resume: found != trainer.RunNew, Restart: true, DropCheckpoint: !r.KeepCheckpoints, StopAfter: r.StopAfter, Threads: own.threads})
	}
	outcomes, err := TrainReplicas(ctx, runs, r.Data, w.Backend, options)
	for errors.Is(err, kernels.ErrOutOfMemory) && own.wait(ctx) { // perhaps it fits now
		for i, c := range runs {
			found, err := stateOf(options[i].Dir, c)
			if err != nil {
				return err
			}
			options[i].Resume = found != trainer.RunNew
		}
		outcomes, err = TrainReplicas(ctx, runs, r.Data, w.Backend, options)
	}
	var diverged error
	for i, end := range ends {
		var o trainer.Outcome // of a run that has not ended
		if i < len(outcomes) {
			o = outcomes[i]
		}
		if o.Err != nil {
			diverged = errors.Join(diverged, fmt.Errorf("%s: %w", runs[i].Name, o.Err))
		}
		err = errors.Join(err, end(o.Result))
	}
	if err != nil {
		return err
	}
	return diverged
}

// Train trains as the settings say, on the dataset and backend that were opened for
// them; see [trainer.Train]. It sets the options that the settings determine.
func Train(ctx context.Context, c Config, data *dataset.Dataset, backend kernels.Backend, o trainer.Options) (*trainer.Result, error) {
	outcomes, err := TrainReplicas(ctx, []Config{c}, data, backend, []trainer.Options{o})
	if err != nil {
		return nil, err
	}
	return outcomes[0].Result, outcomes[0].Err
}

// TrainReplicas is [Train] for runs that are trained at once; see
// [trainer.TrainReplicas]. Their settings may differ only in the seed and in what does
// not decide the weights ([trainer.ErrUsage]).
func TrainReplicas(ctx context.Context, runs []Config, data *dataset.Dataset, backend kernels.Backend, options []trainer.Options) ([]trainer.Outcome, error) {
	n, replicas, err := replicas(runs, data.Info)
	if err != nil {
		return nil, err
	}
	for i, c := range runs {
		o := options[i]
		if o.Settings, err = c.Absolute(); err != nil {
			return nil, err
		}
		o.InitFrom, o.LogEvery = c.InitFrom, c.LogEvery
		o.CheckpointEvery = time.Duration(c.CheckpointEvery * float64(time.Second))
		replicas[i].Options = o
	}
	return trainer.TrainReplicas(ctx, replicas, n, data, backend)
}

// Rehearse does what [TrainReplicas] does before the first step; see
// [trainer.Rehearse].
func Rehearse(runs []Config, data *dataset.Dataset, backend kernels.Backend) (trainer.Summary, error) {
	n, replicas, err := replicas(runs, data.Info)
	if err != nil {
		return trainer.Summary{}, err
	}
	for i, c := range runs {
		replicas[i].Options.InitFrom = c.InitFrom
	}
	return trainer.Rehearse(replicas, n, data, backend)
}

// replicas returns the network and the recipes of runs that are trained at once.
func replicas(runs []Config, d dataset.Info) (n model.Network, list []trainer.Replica, err error) {
	for _, c := range runs {
		like := runs[0]
		like.Seed = c.Seed
		if different := differences(like, c); len(different) > 0 {
			return n, nil, usage("%s and %s differ in more than the seed (%s), so they cannot be trained at once", like.RunName(), c.RunName(), strings.Join(different, ", "))
		}
		list = append(list, trainer.Replica{Recipe: c.Recipe})
	}
	n, err = runs[0].BuildNetwork(d)
	return n, list, err
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
