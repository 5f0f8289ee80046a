package trainer

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/metrics"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/model"
)

// group is one or more trainings in lockstep: replicas on one program, which are always
// at the same step.
type group struct {
	backend kernels.Backend
	config  model.Config
	members []*training
	threads int // of the program; 0 if that is the backend's affair
}

// trainGroup trains until all members have ended.
func trainGroup(ctx context.Context, members []*training, n model.Network, data *dataset.Dataset, backend kernels.Backend) error {
	g, err := newGroup(members, n, data, backend)
	if err != nil {
		return err
	}
	defer g.close()
	// The images are on the device now: unless the caller or, on the CPU, the program
	// keeps them, their 55 MB can be freed before checkpoints allocate theirs.
	debug.FreeOSMemory()
	if err := ctx.Err(); err != nil {
		return err // nothing has begun
	}
	for _, t := range members {
		defer func() { t.events.close() }() // start opens them
		if err := t.start(); err != nil {
			return err
		}
		t.saved = time.Now()
		if t.options.Progress != nil {
			t.options.Progress.Start(t.summary())
		}
	}
	return g.train(ctx)
}

// newGroup returns the trainings, which are at one step, on the device.
func newGroup(members []*training, n model.Network, data *dataset.Dataset, backend kernels.Backend) (*group, error) {
	n.Classes = data.Classes
	g := &group{backend: backend, config: modelConfig(members[0].recipe, n, members[0].partition, backend)}
	if err := g.open(members, data.Train, data.Val, data.Test); err != nil {
		return nil, err
	}
	for _, t := range members {
		if err := t.initialise(); err != nil {
			return nil, errors.Join(err, g.close())
		}
	}
	return g, nil
}

// open compiles a program for the given members. If they do not fit on the device, the
// error is a [ReplicasError] or, if not even one does, a [BatchError], unless no batch
// does.
func (g *group) open(members []*training, splits ...dataset.Split) error {
	if g.threads = wantedThreads(members); g.threads > 0 {
		g.backend.(kernels.Threader).UseThreads(g.threads)
	}
	sessions, err := openReplicas(g.backend, g.config, len(members), splits...)
	if err != nil {
		return g.tooLarge(members, splits, err)
	}
	for i, t := range members {
		t.session = sessions[i]
	}
	g.members = members
	return nil
}

// wantedThreads returns how many threads trainings may use, 0 if nobody says.
func wantedThreads(members []*training) int {
	threads := members[0].options.Threads
	if _, ok := members[0].backend.(kernels.Threader); threads == nil || !ok {
		return 0
	}
	return max(1, threads())
}

// close frees the program. A second close does nothing.
func (g *group) close() error { return g.members[0].close() }

// going returns the members that have not diverged.
func (g *group) going() []*training {
	return slices.DeleteFunc(slices.Clone(g.members), func(t *training) bool { return t.outcome.Err != nil })
}

// each calls do for the members that have not diverged, one after the other, and notes
// which do now.
func (g *group) each(ctx context.Context, do func(t *training) error) error {
	for _, t := range g.going() {
		if err := g.note(ctx, t, do(t)); err != nil {
			return err
		}
	}
	return nil
}

// note makes a divergence the outcome of a training, which ends it and no other. It
// returns any other error.
func (g *group) note(ctx context.Context, t *training, err error) error {
	if errors.Is(err, ErrDiverged) {
		t.outcome.Err = t.explain(ctx, err, len(g.members) == 1)
		return nil
	}
	return err
}

// atOnce calls do for several trainings at a time, to write their files. It returns
// the errors of all.
func atOnce(list []*training, do func(t *training) error) error {
	if len(list) == 1 {
		return do(list[0])
	}
	errs := make([]error, len(list))
	var calls errgroup.Group
	calls.SetLimit(runtime.GOMAXPROCS(0))
	for i, t := range list {
		calls.Go(func() error { errs[i] = do(t); return nil })
	}
	_ = calls.Wait()
	return errors.Join(errs...)
}

// train trains until the last epoch, the last step or an early stop of every member.
func (g *group) train(ctx context.Context) error {
	for {
		var ended, going []*training
		for _, t := range g.going() {
			if t.ended() {
				ended = append(ended, t)
			} else {
				going = append(going, t)
			}
		}
		if len(going) < len(g.members) {
			if err := g.leave(ctx, ended, going); err != nil {
				return err
			}
		} else if g.members[0].state.Slot == 0 && g.threads != wantedThreads(going) {
			if err := g.keep(going); err != nil {
				return err
			}
		}
		if len(going) == 0 {
			return nil
		}
		if err := g.epoch(ctx); err != nil { // also if MaxSteps cut an epoch short, to evaluate it
			return err
		}
	}
}

// epoch trains one epoch, or the rest of it, evaluates and saves.
func (g *group) epoch(ctx context.Context) error {
	if err := g.each(ctx, (*training).prepareEpoch); err != nil {
		return err
	}
	if err := g.steps(ctx); err != nil || len(g.going()) == 0 {
		return err
	}
	if err := g.each(ctx, (*training).stepsDone); err != nil || len(g.going()) == 0 {
		return err
	}
	if !g.members[0].recipe.NoEval {
		if err := g.evaluate(ctx); err != nil {
			return err
		}
	}
	err := atOnce(g.going(), func(t *training) error { return g.note(ctx, t, t.epochDone()) })
	// Files are written from copies of the weights: the epochs' copies would
	// pile up to about 100 MB before Go collects them on its own.
	debug.FreeOSMemory()
	if err != nil {
		return err
	}
	return g.each(ctx, func(t *training) error {
		if t.options.Progress != nil {
			t.options.Progress.Epoch(t.report)
		}
		return nil
	})
}

// steps runs the epoch's steps. On cancellation it saves and returns ErrInterrupted.
func (g *group) steps(ctx context.Context) error {
	t := g.members[0] // all are at the same step
	end := t.stepsPerEpoch()
	if t.recipe.MaxSteps > 0 {
		end = min(end, t.state.Slot+t.recipe.MaxSteps-t.state.Step)
	}
	now := time.Now()
	for _, t := range g.members {
		t.recent = now
	}
	for t.state.Slot < end && len(g.going()) > 0 {
		from := t.state.Slot
		if err := g.someSteps(end); err != nil {
			return err
		}
		if err := g.each(ctx, func(t *training) error { return t.reportSteps(from) }); err != nil {
			return err
		}
		err := atOnce(g.due(), func(t *training) error { return g.note(ctx, t, t.saveCheckpoint()) })
		if err != nil {
			return err
		}
		if ctx.Err() != nil && t.state.Slot < end && len(g.going()) > 0 {
			return g.interrupted(ctx)
		}
	}
	return nil
}

// due returns the members whose last checkpoint is older than they allow.
func (g *group) due() []*training {
	return slices.DeleteFunc(g.going(), func(t *training) bool {
		every := t.options.CheckpointEvery
		return every == 0 || time.Since(t.saved) < every
	})
}

// someSteps submits the next steps: full batches for about a quarter of a
// second, or the epoch's last, smaller batch.
func (g *group) someSteps(end int) error {
	t := g.members[0]
	section, most := t.nextSection(end)
	n := t.pace.next(most)
	start := time.Now()
	if err := t.run(section, n); err != nil {
		return err
	}
	took := time.Since(start)
	for _, t := range g.members {
		t.ran(n, took)
	}
	return nil
}

// nextSection returns the section of the epoch's next steps, before slot end, and how
// often it can run: for full batches, or for the epoch's last, smaller one.
func (t *training) nextSection(end int) (section string, steps int) {
	full, last := model.Batches(t.perEpoch, t.recipe.BatchSize)
	if t.state.Slot >= full {
		return model.TrainSection(last), 1
	}
	return model.TrainSection(t.recipe.BatchSize), min(full, end) - t.state.Slot
}

// evaluate evaluates the weights for the epoch's reports. On cancellation it saves and
// returns ErrInterrupted: a resume evaluates again.
func (g *group) evaluate(ctx context.Context) error {
	evals, err := g.classify(ctx, func(t *training) []uint32 { return t.selected })
	if err != nil {
		if ctx.Err() != nil {
			return g.interrupted(ctx)
		}
		return err
	}
	return g.each(ctx, func(t *training) error { return t.evaluated(evals[t]) })
}

// classify evaluates all members on the images that each selects.
func (g *group) classify(ctx context.Context, images func(t *training) []uint32) (map[*training]evaluation, error) {
	var sessions []*session
	var indices [][]uint32
	for _, t := range g.members {
		sessions, indices = append(sessions, t.session), append(indices, images(t))
	}
	evals, err := evaluateTogether(ctx, sessions, indices)
	if err != nil {
		return nil, err
	}
	of := map[*training]evaluation{}
	for i, t := range g.members {
		of[t] = evals[i]
	}
	return of, nil
}

// interrupted saves the runs in the middle of an epoch. It returns ErrInterrupted
// only if everything is saved.
func (g *group) interrupted(ctx context.Context) error {
	err := atOnce(g.going(), func(t *training) error { return g.note(ctx, t, t.saveInterrupted()) })
	if err != nil {
		return fmt.Errorf("interrupted, but not everything could be saved: %w", err)
	}
	return ErrInterrupted
}

// tested is what the test of a training's best weights has shown.
type tested struct {
	metrics *metrics.Metrics
	probs   []float32 // (images, classes)
}

// leave finishes the members that have ended and continues with those that go on. It
// tests the best weights, except where Options.StopAfter leaves the run in progress. On
// cancellation it returns ErrInterrupted: the checkpoints are complete, and a resume
// does the rest.
func (g *group) leave(ctx context.Context, ended, going []*training) error {
	var images dataset.Split
	var results map[*training]tested
	var err error
	finished := slices.DeleteFunc(slices.Clone(ended), func(t *training) bool { return t.options.StopAfter > 0 })
	if len(finished) > 0 {
		debug.FreeOSMemory() // makes room for the images by freeing the last checkpoint's memory
		if images, err = finished[0].testSplit(); err != nil {
			return err
		}
		if results, err = g.test(ctx, finished, images.Labels); err != nil {
			return err
		}
	}
	// Only pictures are left to draw: free the memory of these trainings first, or they
	// would add to the peak.
	if err := g.keep(going); err != nil {
		return err
	}
	debug.FreeOSMemory()
	return atOnce(ended, func(t *training) error {
		if of, ok := results[t]; ok {
			return t.finish(images, of)
		}
		if t.outcome.Err != nil { // its test has shown a divergence
			return nil
		}
		t.outcome.Result = t.result(t.model(t.best, t.state.BestEpoch), nil)
		return nil
	})
}

// test evaluates the best weights of the given members on the test set. Those whose loss
// is not finite have no result.
func (g *group) test(ctx context.Context, ended []*training, labels []byte) (map[*training]tested, error) {
	for _, t := range ended {
		if err := t.best.write(t.net, t.prog); err != nil {
			return nil, err
		}
	}
	evals, err := g.classify(ctx, func(t *training) []uint32 { return t.test })
	if ctx.Err() != nil {
		return nil, ErrInterrupted
	}
	if err != nil {
		return nil, err
	}
	results := map[*training]tested{}
	for _, t := range ended {
		if err := t.checkEvaluation("test images", evals[t], t.test, t.best.steps); err != nil {
			if err := g.note(ctx, t, err); err != nil {
				return nil, err
			}
			continue
		}
		m, probs, err := t.measured(evals[t], labels)
		if err != nil {
			return nil, err
		}
		results[t] = tested{m, probs}
	}
	return results, nil
}

// keep continues with some or all of the members, between two epochs, on another program:
// a smaller one, or one for more threads. Without any, it frees the program.
func (g *group) keep(going []*training) error {
	if len(going) == 0 {
		return g.close()
	}
	all, err := going[0].allImages()
	if err != nil {
		return err
	}
	saved := map[*training][][]byte{}
	for _, t := range going {
		if saved[t], err = t.readResumable(); err != nil {
			return err
		}
	}
	if err := g.close(); err != nil {
		return err
	}
	if err := g.open(going, all); err != nil {
		return err
	}
	for _, t := range going {
		if err := t.writeResumable(saved[t]); err != nil {
			return err
		}
	}
	return nil
}

// allImages reads the dataset back from the device: the host may no longer hold it.
func (t *training) allImages() (dataset.Split, error) {
	all := dataset.Split{N: len(t.classes), Shape: t.data.Shape, Images: make([]byte, t.net.Images.Len()), Labels: t.classes}
	return all, t.prog.Read(t.net.Images, all.Images)
}
