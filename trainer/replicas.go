package trainer

import (
	"context"
	"fmt"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/model"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/setting"
)

// Replica is one of the trainings of [TrainReplicas].
type Replica struct {
	Recipe  Recipe
	Options Options
}

// Outcome is what became of a [Replica].
type Outcome struct {
	Result *Result // nil with an error, or if the replica has not ended
	Err    error   // ErrDiverged
}

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

// TrainReplicas trains several replicas at once, whose recipes differ only in the
// seed: a step of the device's program is a step of each. A small network leaves most
// of a GPU idle; several fill it. Each replica is, bit for bit, the training that
// [Train] makes of its recipe and options: it has its own order of the images,
// schedule, best weights, folder and checkpoint. One that stops early or diverges
// leaves the device to the others.
//
// Resumed replicas that are at different steps train one after the other.
//
// The errors are those of Train, except that a divergence is the Err of its replica's
// outcome and does not stop the others, and a [ReplicasError]. Outcomes that come with
// an error are those of the replicas that had ended before.
func TrainReplicas(ctx context.Context, replicas []Replica, n model.Network, data *dataset.Dataset, backend kernels.Backend) ([]Outcome, error) {
	if err := checkReplicas(replicas, n, data, backend); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err // before there is a folder
	}
	outcomes := make([]Outcome, len(replicas))
	var left []*training
	for i, r := range replicas {
		unlock, err := folder{r.Options.Dir}.open()
		if err != nil {
			return nil, err
		}
		defer unlock()
		if len(replicas) > 1 {
			r.Options.Environment.Together = max(1, r.Options.Environment.Together) * len(replicas)
		}
		t, err := newTraining(r, n, data, backend)
		if err != nil {
			return nil, err
		}
		if t.outcome = &outcomes[i]; t.found.finished == nil {
			left = append(left, t)
			continue
		}
		outcomes[i].Result = t.finishedBefore()
	}
	for len(left) > 0 {
		var members []*training
		members, left = atOneStep(left)
		images := data
		if len(left) == 0 {
			data = nil // now only the caller may keep its 55 MB in memory
		}
		if err := trainGroup(ctx, members, n, images, backend); err != nil {
			return outcomes, err
		}
	}
	return outcomes, nil
}

// checkReplicas refuses arguments that cannot be trained with.
func checkReplicas(replicas []Replica, n model.Network, data *dataset.Dataset, backend kernels.Backend) error {
	if len(replicas) == 0 {
		return usage("a training needs at least one replica")
	}
	first := replicas[0].Recipe
	for _, r := range replicas {
		if err := r.Options.check(); err != nil {
			return err
		}
		for _, s := range recipeSettings {
			a, b := setting.Value(&first, s.Name), setting.Value(&r.Recipe, s.Name)
			if a != b && s.Name != "seed" {
				return usage("replicas differ in %s (%s and %s): want the same but for the seed", s.Name, a, b)
			}
		}
	}
	return checkArguments(first, n, data, backend)
}

// atOneStep returns the trainings that are at the same step as the first, and the
// others.
func atOneStep(list []*training) (members, others []*training) {
	for _, t := range list {
		if t.state.Step == list[0].state.Step && t.state.Slot == list[0].state.Slot {
			members = append(members, t)
		} else {
			others = append(others, t)
		}
	}
	return members, others
}
