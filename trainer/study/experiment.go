package study

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/fmnist-gpu/fmnist-gpu/trainer"
)

// Experiment is a named list of trainings. Each runs in a folder named after it.
type Experiment struct {
	Name   string
	Groups []Group
}

// Group holds the runs of an experiment that are compared with each other. All
// of them have passed [Config.Check]. Their names are unique in the experiment.
type Group struct {
	Name string
	Runs []Config
}

// each calls train for every batch of runs in order, with at most workers calls at a time.
// It passes each call a worker number, from 0 to workers−1, that no concurrent call has. A
// training that diverges, or that another process trains, does not stop the others; each
// returns all such errors together. Any other error cancels the context of the other calls
// and is returned when they have ended; a cancelled ctx is [trainer.ErrInterrupted].
func each(ctx context.Context, workers int, batches [][]Config, train func(ctx context.Context, worker int, runs []Config) error) error {
	queue := make(chan []Config)
	failed := make([]error, workers)
	group, inner := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(queue)
		for _, runs := range batches {
			select {
			case queue <- runs:
			case <-inner.Done():
				return trainer.ErrInterrupted // unless a worker's error came first: Wait returns that
			}
		}
		return nil
	})
	for worker := range workers {
		group.Go(func() error {
			for runs := range queue {
				err := train(inner, worker, runs)
				if errors.Is(err, trainer.ErrDiverged) || errors.As(err, new(*trainer.LockedError)) {
					failed[worker] = errors.Join(failed[worker], err)
				} else if err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return errors.Join(failed...)
}

// longestName limits the name of a run's folder: file systems allow 255 bytes, of which
// temporary files need some.
const longestName = 200

// check refuses runs that could not be compared later. The source names the
// experiment's file.
func (e Experiment) check(source string) error {
	named, trained := map[string]bool{}, map[string]string{}
	for _, g := range e.Groups {
		for _, c := range g.Runs {
			training := fmt.Sprint(g.Name, c.Seed, c.recipe())
			switch {
			case named[c.Name]:
				return usage("%s: two runs are named %s: a value is given twice, or two networks or variants have one name", source, c.Name)
			case len(c.Name) > longestName:
				return usage("%s: the name of a run, %s…, has more than %d bytes: give the run's variant a name, or shorten the values", source, c.Name[:40], longestName)
			case trained[training] != "":
				return usage("%s: %s and %s are the same training: leave one out", source, trained[training], c.Name)
			case c.Dataset != g.Runs[0].Dataset || c.ImageSize != g.Runs[0].ImageSize:
				return usage("%s: runs on different datasets or image sizes cannot be compared: make several experiments", source)
			case c.SelectOn != g.Runs[0].SelectOn:
				return usage("%s: runs that select on %s and on %s cannot be compared: make two experiments", source, g.Runs[0].SelectOn, c.SelectOn)
			}
			named[c.Name], trained[training] = true, c.Name
		}
	}
	return nil
}
