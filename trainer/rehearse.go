package trainer

import (
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/model"
)

// Rehearse does all that [TrainReplicas] does before the first step, so that it fails
// where that would, but looks into no run's folder and writes no files. It returns what
// the first replica's training would be.
func Rehearse(replicas []Replica, n model.Network, data *dataset.Dataset, backend kernels.Backend) (Summary, error) {
	if err := checkReplicas(replicas, n, data, backend); err != nil {
		return Summary{}, err
	}
	var members []*training
	for _, r := range replicas {
		t, err := newTraining(Replica{r.Recipe, Options{InitFrom: r.Options.InitFrom}}, n, data, backend)
		if err != nil {
			return Summary{}, err
		}
		members = append(members, t)
	}
	g, err := newGroup(members, n, data, backend)
	if err != nil {
		return Summary{}, err
	}
	defer g.close()
	return members[0].summary(), nil
}
