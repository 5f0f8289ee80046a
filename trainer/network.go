package trainer

import (
	"slices"
	"strings"
	"unicode"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/model"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/setting"
)

// inputOf returns the shape of a dataset's images as the input of a network.
func inputOf(s dataset.Shape) model.Shape { return model.Shape{H: s.H, W: s.W, C: s.C} }

// imageShape returns the shape of the images that a network takes.
func imageShape(n model.Network) dataset.Shape {
	return dataset.Shape{H: n.Input.H, W: n.Input.W, C: n.Input.C}
}

// BuiltIn returns the built-in network with the given name for the images and
// classes of a dataset. The error is [ErrUsage].
func BuiltIn(name string, d dataset.Info) (model.Network, error) {
	n, ok := model.Zoo(name, inputOf(d.Shape), d.Classes)
	if !ok {
		return n, usage("model is %q: want one of %s; describe any other network by its layers in the setting network", name, strings.Join(model.Names(), ", "))
	}
	if err := n.Check(); err != nil {
		return n, usage("%s does not fit images of %v and %d classes: %v", name, d.Shape, len(d.Classes), err)
	}
	return n, nil
}

// ParseNetwork reads the layers of a network for the images and classes of a
// dataset; see [model.ParseYAML]. The error ([ErrUsage]) names the file, the line
// and the layer that does not fit.
func ParseNetwork(file string, text []byte, d dataset.Info) (model.Network, error) {
	n, err := model.ParseYAML(file, text)
	if err != nil {
		return n, usage("%v", err)
	}
	n.Input, n.Classes = inputOf(d.Shape), slices.Clone(d.Classes)
	if err := n.Check(); err != nil {
		return n, usage("%v", err)
	}
	return n, nil
}

// isBuiltIn reports whether the network is the built-in one of its name.
func isBuiltIn(n model.Network) bool {
	original, ok := model.Zoo(n.Name, n.Input, n.Classes)
	if !ok {
		return false
	}
	a, err1 := original.YAML()
	b, err2 := n.YAML()
	return err1 == nil && err2 == nil && a == b
}

// fits checks that a network has a name and takes the images and classes of a dataset.
func fits(n model.Network, d dataset.Info) error {
	switch {
	case strings.TrimSpace(n.Name) == "" || strings.ContainsFunc(n.Name, unicode.IsControl): // args.yaml could not be read
		return usage("the network's name is %s: want text on one line", setting.Shown(n.Name))
	case imageShape(n) != d.Shape:
		return usage("the network %s takes images of %v, but those of the dataset %s are %v: build it for this dataset", n.Name, n.Input, d.Name, d.Shape)
	case len(n.Classes) != len(d.Classes):
		return usage("the network %s has %d classes, but the dataset %s has %d: build it for this dataset", n.Name, len(n.Classes), d.Name, len(d.Classes))
	}
	if err := n.Check(); err != nil {
		return usage("%v", err)
	}
	return nil
}
