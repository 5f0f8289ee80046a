package trainer

import (
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/model"
)

// Rehearse does all that [Train] does before the first step, so that it fails where
// that would, but writes no files. It returns what the training would be.
func Rehearse(r Recipe, n model.Network, data *dataset.Dataset, backend kernels.Backend, o Options) (Summary, error) {
	if err := checkArguments(r, n, data, backend, o); err != nil {
		return Summary{}, err
	}
	t, err := newTraining(r, n, data, backend, Options{InitFrom: o.InitFrom}, progressed{})
	if err != nil {
		return Summary{}, err
	}
	defer t.close()
	return t.summary(), nil
}
