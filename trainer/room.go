package trainer

import (
	"errors"
	"fmt"
	"sort"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/model"
)

// ReplicasError is the error of replicas of which a device can hold only some at once.
type ReplicasError struct {
	Wanted, Fit int
	Err         error // why the next one does not fit
}

// Error says how many fit.
func (e *ReplicasError) Error() string {
	return fmt.Sprintf("%d replicas do not fit on the device at once, but %d would: %v", e.Wanted, e.Fit, e.Err)
}

// Unwrap returns the cause.
func (e *ReplicasError) Unwrap() error { return e.Err }

// BatchError is the error of a batch for which a device lacks memory.
type BatchError struct {
	Wanted, Fit int   // images per step; Fit is about the largest for which it has
	Err         error // why Wanted does not fit
}

// Error says which batch fits.
func (e *BatchError) Error() string {
	return fmt.Sprintf("a batch-size of %d does not fit on the device, but %d would: %v", e.Wanted, e.Fit, e.Err)
}

// Unwrap returns the cause.
func (e *BatchError) Unwrap() error { return e.Err }

// tooLarge returns the error of members that could not be opened, with what would fit.
func (g *group) tooLarge(members []*training, splits []dataset.Split, err error) error {
	if fit := g.fittingReplicas(len(members), splits); fit > 0 {
		return &ReplicasError{len(members), fit, err}
	}
	_, tells := g.backend.(kernels.Budgeter)
	if !tells || g.mayFit(g.config, 1, splits) && !errors.Is(err, kernels.ErrOutOfMemory) {
		return err // which may have another cause than the batch
	}
	if fit := g.fittingBatch(members[0], splits); fit > 0 {
		return &BatchError{members[0].recipe.BatchSize, fit, err}
	}
	return err
}

// fittingReplicas returns how many replicas fit on the device where so many do not.
func (g *group) fittingReplicas(tooMany int, splits []dataset.Split) int {
	n := sort.Search(tooMany-1, func(i int) bool { return !g.mayFit(g.config, i+1, splits) })
	for n > 0 && !g.fits(g.config, n, splits) {
		n--
	}
	return n
}

// fittingBatch returns about the largest batch size that fits where that of t does not.
func (g *group) fittingBatch(t *training, splits []dataset.Split) int {
	config := func(batch int) model.Config {
		r := t.recipe
		r.BatchSize = batch
		return modelConfig(r, g.config.Network, t.partition, g.backend)
	}
	return FittingBatch(t.recipe.BatchSize,
		func(batch int) bool { return g.mayFit(config(batch), 1, splits) },
		func(batch int) bool { return g.fits(config(batch), 1, splits) })
}

// FittingBatch returns about the largest batch size that fits where tooLarge does not, 0 if
// none does. mayFit goes by a budget; fits tries it.
func FittingBatch(tooLarge int, mayFit, fits func(batch int) bool) int {
	n := sort.Search(tooLarge-1, func(i int) bool { return !mayFit(i + 1) })
	for n > 0 {
		if n > 64 {
			n -= n % 64 // as devices like it
		}
		if fits(n) {
			break
		}
		n -= (n + 7) / 8 // the budget leaves out what only compiling tells
	}
	return n
}

// mayFit reports whether replicas fit by the backend's budget, or in fact if it has none.
func (g *group) mayFit(c model.Config, replicas int, splits []dataset.Split) bool {
	b, tells := g.backend.(kernels.Budgeter)
	if !tells {
		return g.fits(c, replicas, splits)
	}
	nets, err := build(c, replicas, splits)
	return err == nil && b.Fits(nets[0].Plan) == nil
}

// fits reports whether replicas fit, by trying it.
func (g *group) fits(c model.Config, replicas int, splits []dataset.Split) bool {
	sessions, err := openReplicas(g.backend, c, replicas, splits...)
	return err == nil && sessions[0].close() == nil
}
