package trainer

import (
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/model"
)

func mustNetwork(t *testing.T, name string) model.Network {
	t.Helper()
	n, err := BuiltIn(name, dataset.FashionMNIST)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
