package trainer

import (
	"strings"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/model"
)

// fashionNetwork returns the built-in network of that name for Fashion-MNIST's
// images and classes.
func fashionNetwork(name string) (model.Network, error) {
	n, ok := model.Zoo(name, model.Shape{H: dataset.ImageSize, W: dataset.ImageSize, C: 1}, dataset.ClassNames[:])
	if !ok {
		return n, usage("unknown model %q: want one of %s", name, strings.Join(model.Names(), ", "))
	}
	return n, nil
}
