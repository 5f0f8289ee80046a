package trainer

import (
	"context"
	"path/filepath"
	"slices"

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
// outcome and does not stop the others, and a [ReplicasError] or [BatchError]. Outcomes
// that come with an error are those of the replicas that had ended before.
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
	if len(left) == 0 {
		return outcomes, nil
	}
	groups := byStep(left)
	last := len(groups) - 1
	for _, members := range groups[:last] {
		if err := trainGroup(ctx, members, n, data, backend); err != nil {
			return outcomes, err
		}
	}
	// This is the last use of data, whose 55 MB only the caller and the program may now
	// keep in memory.
	return outcomes, trainGroup(ctx, groups[last], n, data, backend)
}

// checkReplicas refuses arguments that cannot be trained with.
func checkReplicas(replicas []Replica, n model.Network, data *dataset.Dataset, backend kernels.Backend) error {
	if len(replicas) == 0 {
		return usage("a training needs at least one replica")
	}
	first := replicas[0].Recipe
	folders := map[string]int{}
	for i, r := range replicas {
		if err := r.Options.check(); err != nil {
			return err
		}
		dir := filepath.Clean(r.Options.Dir)
		if j, taken := folders[dir]; taken && r.Options.Dir != "" {
			return usage("replicas %d and %d have the same folder, %s: want one for each", j, i, dir)
		}
		folders[dir] = i
		for _, s := range recipeSettings {
			a, b := setting.Value(&first, s.Name), setting.Value(&r.Recipe, s.Name)
			if a != b && s.Name != "seed" {
				return usage("replicas differ in %s (%s and %s): want the same but for the seed", s.Name, a, b)
			}
		}
	}
	if err := checkArguments(first, n, data, backend); err != nil {
		return err
	}
	for _, r := range replicas {
		if err := r.Options.checkSettings(r.Recipe, n); err != nil {
			return err
		}
	}
	return nil
}

// byStep returns trainings in groups that are at the same step.
func byStep(list []*training) [][]*training {
	var groups [][]*training
	for _, t := range list {
		at := slices.IndexFunc(groups, func(g []*training) bool { return g[0].state.Step == t.state.Step && g[0].state.Slot == t.state.Slot })
		if at < 0 {
			at, groups = len(groups), append(groups, nil)
		}
		groups[at] = append(groups[at], t)
	}
	return groups
}
