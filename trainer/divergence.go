package trainer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/model"
)

// A training whose loss or weights are no longer finite ends. To say where that began,
// it is trained again from its last checkpoint, and the first bad step op by op.

// weighEvery is the time between two checks of the weights, which are read back from
// the device for it. The losses are checked at each report.
var weighEvery = time.Second // tests shorten it

// DivergenceError is the [ErrDiverged] of a training.
type DivergenceError struct {
	Text string // what has become NaN or infinite, where that began, what is kept and what to do
	// Repeats is whether the same steps, repeated, have diverged again: another try would,
	// too.
	Repeats bool
}

func (e *DivergenceError) Error() string { return e.Text }

// Is makes the error [ErrDiverged].
func (e *DivergenceError) Is(target error) bool { return target == ErrDiverged }

// divergence is the [ErrDiverged] of a training before it is known where it began.
type divergence struct {
	what  string   // "the loss is NaN", "conv1.weight holds NaN"
	step  int      // by the end of which it had begun
	batch []uint32 // the images of the evaluation's batch in which it was seen, if not in a step
}

func (d *divergence) Error() string {
	return fmt.Sprintf("%v: %s at step %d", ErrDiverged, d.what, d.step)
}

// Is makes the error [ErrDiverged].
func (d *divergence) Is(target error) bool { return target == ErrDiverged }

// notFinite returns the index of the first NaN or infinity, or -1.
func notFinite(values []float32) int {
	for i, x := range values {
		if x-x != 0 { // which is NaN for both
			return i
		}
	}
	return -1
}

// checkLosses returns a divergence if the loss of a step from slot from on is not
// finite. losses are those of the epoch's steps so far.
func (t *training) checkLosses(losses []float32, from int) error {
	i := from + notFinite(losses[from:])
	if i < from {
		return nil
	}
	return &divergence{what: fmt.Sprintf("the loss is %v", losses[i]), step: t.state.Step - t.state.Slot + i + 1}
}

// checkEvaluation returns a divergence if the loss of an evaluation is not finite. Its
// images are those with the given indices, its weights those after a step.
func (t *training) checkEvaluation(what string, e evaluation, indices []uint32, step int) error {
	if e.loss-e.loss == 0 {
		return nil
	}
	size := t.largest()
	losses, _, err := t.logs(t.net.Eval, 0, model.Steps(len(indices), size))
	if err != nil {
		return err
	}
	first := max(0, notFinite(losses)) * size
	batch := indices[first:min(first+size, len(indices))]
	return &divergence{fmt.Sprintf("the loss of the %s is %v", what, e.loss), step, batch}
}

// checkWeights returns a divergence if a weight or running statistic on the device is
// not finite. A loss can hide that: ReLU may turn NaN into 0.
func (t *training) checkWeights() error {
	t.weighed = time.Now()
	return t.checkTensors(t.net.Values, t.net.Running)
}

// checkTensors is checkWeights for any tensors of float32.
func (t *training) checkTensors(tensors ...kernels.Tensor) error {
	for _, x := range tensors {
		i, value, err := t.firstBad(x)
		if err != nil {
			return err
		}
		if i >= 0 {
			return t.holds(x, i, value)
		}
	}
	return nil
}

// holds returns the divergence of a tensor whose element i is not finite.
func (t *training) holds(x kernels.Tensor, i int, value float32) error {
	return &divergence{what: fmt.Sprintf("%s holds %v", t.net.NameOf(x, i), value), step: t.state.Step}
}

// firstBad returns the index and the value of the first element that is not finite, or
// -1.
func (t *training) firstBad(x kernels.Tensor) (int, float32, error) {
	if x.Len() == 0 || x.Type != kernels.Float32 {
		return -1, 0, nil
	}
	values, err := t.read(x)
	if err != nil {
		return -1, 0, err
	}
	if i := notFinite(values); i >= 0 {
		return i, values[i], nil
	}
	return -1, 0, nil
}

// read reads a tensor of words from the device, into memory that the next read uses
// again.
func (t *training) read(x kernels.Tensor) ([]float32, error) {
	if len(t.scanned) < x.Len() {
		t.scanned = make([]float32, x.Len())
	}
	words := t.scanned[:x.Len()]
	return words, t.prog.Read(x, kernels.AsBytes(words))
}

// explain returns the error to show for a divergence: where it began, what is left of
// the run and what to do. A training that was alone on its program closes it, to make
// room for one that repeats its steps.
func (t *training) explain(ctx context.Context, err error, alone bool) error {
	d, ok := errors.AsType[*divergence](err)
	if !ok {
		return err
	}
	began, kept, repeats := "", "", false
	remedy := fmt.Sprintf("try a lower learning rate (lr) than %v", t.recipe.LR)
	if t.recipe.precision() != kernels.FP32 {
		remedy += ", or precision fp32"
	}
	start, err := t.lastSaved()
	if err == nil {
		began, repeats, err = t.origin(ctx, start, d, alone)
	}
	switch {
	case err != nil:
		began = fmt.Sprintf("where it began is unknown: %v", err)
	case began == "":
		began = fmt.Sprintf("steps %d to %d, repeated, stay finite", start.Step+1, d.step)
		remedy = "suspect the device's memory, and resume the run"
	}
	if start != nil && start.Step > 0 {
		kept = fmt.Sprintf("the checkpoint of step %d is kept; ", start.Step)
	}
	return &DivergenceError{fmt.Sprintf("%v; %s; %s%s", d, began, kept, remedy), repeats}
}

// lastSaved returns the state of the last checkpoint or, within the first epoch, that of
// the beginning.
func (t *training) lastSaved() (*runState, error) {
	if t.folder.dir != "" {
		if s, err := t.folder.readState(); err != nil || s != nil {
			return s, err
		}
	}
	if t.state.Step > t.stepsPerEpoch() {
		return nil, errors.New("this training saves no checkpoint to repeat it from")
	}
	return t.beginning(), nil
}

// origin trains again from a state until the divergence, and says in which step and
// tensor the first value was that is not finite: "" if this time all were finite. It
// reports whether it has seen such a value again.
func (t *training) origin(ctx context.Context, start *runState, d *divergence, alone bool) (began string, repeats bool, err error) {
	r, err := t.replay(start, alone)
	if err != nil {
		return "", false, err
	}
	defer r.close()
	section := ""
	found, err := r.until(ctx, d.step)
	switch {
	case err != nil:
		return "", false, err
	case found != nil:
		repeats = true
		section, _ = r.nextSection(r.state.Slot + 1)
	case d.batch != nil:
		found = d
		if d.step == t.best.steps { // what was tested, perhaps not the last weights
			err = t.best.write(r.net, r.prog)
		}
		section = model.EvalSection(len(d.batch))
		err = errors.Join(err, r.prepareEvaluation(d.batch))
	default:
		return "", false, nil
	}
	if err != nil {
		return "", false, err
	}
	where, err := r.dissect(section)
	repeats = repeats || where != ""
	if where == "" {
		where = found.what // the ops give other roundings by themselves than together
	}
	return fmt.Sprintf("it began at step %d: %s", found.step, where), repeats, err
}

// replay returns the training at a state, on a program of its own that can also run
// each op by itself. It writes no files: this training has renamed its tensors.
func (t *training) replay(start *runState, alone bool) (*training, error) {
	images, err := t.allImages()
	if err != nil {
		return nil, err
	}
	if alone {
		if err := t.close(); err != nil {
			return nil, err
		}
	}
	c := t.net.Config
	c.Images, c.ByOp = 0, true
	s, err := open(t.backend, c, images)
	if err != nil {
		return nil, err
	}
	r := *t
	r.session, r.state, r.found, r.events, r.log, r.notes, r.scanned = s, *start, progressed{environment: t.found.environment}, nil, nil, nil, nil
	if start.Step > 0 {
		r.found.state = start
	} else if t.sampleLosses != nil {
		r.sampleLosses = newSampleLosses(len(t.sampleLosses))
	}
	if err := errors.Join(r.initialise(), r.prepareEpoch()); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return &r, nil
}

// replayed is the number of steps that a replay runs between two checks.
const replayed = 32

// until trains to the given step, or to the one before the first bad step, of which it
// returns the divergence.
func (t *training) until(ctx context.Context, step int) (*divergence, error) {
	most := replayed
	for t.state.Step < step {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		state := t.state
		before, err := t.readResumable()
		if err != nil {
			return nil, err
		}
		section, n := t.nextSection(state.Slot + min(most, step-state.Step))
		if err := t.run(section, n); err != nil {
			return nil, err
		}
		t.state.Step, t.state.Slot = state.Step+n, state.Slot+n
		err = t.checkSteps(state.Slot)
		d, bad := errors.AsType[*divergence](err)
		switch {
		case bad:
			t.state = state
			if err := t.writeResumable(before); err != nil || n == 1 {
				return d, err
			}
			most = 1
		case err != nil:
			return nil, err
		}
	}
	return nil, nil
}

// checkSteps checks all that the steps from slot from on have computed.
func (t *training) checkSteps(from int) error {
	losses, _, err := t.logs(t.net.Train, 0, t.state.Slot)
	if err != nil {
		return err
	}
	if err := t.checkLosses(losses, from); err != nil {
		return err
	}
	return t.checkTensors(t.resumable()...)
}

// dissect runs a section op by op and names the first tensor that is not finite, "" if
// all are.
func (t *training) dissect(section string) (string, error) {
	for i, op := range t.net.Plan.Find(section).Ops {
		if err := t.prog.Run(model.OpSection(section, i), 1); err != nil {
			return "", err
		}
		for _, o := range op.Operands() {
			if o.Access&kernels.Write == 0 {
				continue
			}
			at, value, err := t.firstBad(o.Tensor)
			if err != nil {
				return "", err
			}
			if at >= 0 {
				return fmt.Sprintf("%s (%s of %s) holds %v", t.net.NameOf(o.Tensor, at), o.Name, op.Kind(), value), nil
			}
		}
	}
	return "", nil
}
