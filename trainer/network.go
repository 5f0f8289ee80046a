package trainer

import (
	"fmt"
	"strings"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/checkpoint"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/model"
)

// fashion is the shape of Fashion-MNIST's images.
var fashion = inputOf(dataset.FashionMNIST)

// inputOf returns the shape of a dataset's images as the input of a network.
func inputOf(d dataset.Info) model.Shape { return model.Shape{H: d.H, W: d.W, C: d.C} }

// fashionNetwork returns the built-in network with the given name for
// Fashion-MNIST's images and classes.
func fashionNetwork(name string) (model.Network, error) {
	n, ok := model.Zoo(name, fashion, dataset.FashionMNIST.Classes)
	if !ok {
		return n, usage("model is %q: want one of %s; describe any other network by its layers in the setting network", name, strings.Join(model.Names(), ", "))
	}
	return n, nil
}

// ParseNetwork reads the layers of a network for Fashion-MNIST's images and
// classes; see [model.ParseYAML]. The error ([ErrUsage]) names the file, the line
// and the layer that does not fit.
func ParseNetwork(file string, text []byte) (model.Network, error) {
	n, err := model.ParseYAML(file, text)
	if err != nil {
		return n, &usageError{err.Error()}
	}
	n.Input, n.Classes = fashion, dataset.FashionMNIST.Classes
	if err := n.Check(); err != nil {
		return n, &usageError{err.Error()}
	}
	return n, nil
}

// BuildNetwork returns the network for Fashion-MNIST that the settings describe.
// The error is [ErrUsage].
func (c Config) BuildNetwork() (n model.Network, err error) {
	if c.Network == "" {
		n, err = fashionNetwork(c.Model)
	} else {
		n, err = ParseNetwork(fmt.Sprintf("the network %s", c.Model), []byte(c.Network))
		n.Name = c.Model
	}
	if err == nil && c.Dropout != nil {
		n = n.WithDropout(*c.Dropout)
	}
	return n, err
}

// ReadNetwork returns the network of a checkpoint: a run's folder, or a
// .safetensors or PyTorch .pth file. The error is [checkpoint.ErrBadCheckpoint].
func ReadNetwork(path string) (model.Network, error) {
	path, err := WeightsFile(path)
	if err != nil {
		return model.Network{}, err
	}
	f, err := checkpoint.Load(path)
	if err != nil {
		return model.Network{}, err
	}
	n, err := networkOf(f)
	if err != nil {
		return n, fmt.Errorf("checkpoint %s: %w", path, err)
	}
	return n, nil
}
