package model

import (
	"maps"
	"slices"
)

// DefaultDropout is the probability of the dropouts in the built-in networks.
const DefaultDropout = .25

// zoo holds the layers of the built-in networks.
var zoo = map[string][]Layer{
	"fashioncnn": slices.Concat(
		convReLU("1", 32, 3, 1), []Layer{MaxPool{Kernel: 2}},
		convReLU("2", 64, 3, 1), []Layer{MaxPool{Kernel: 2}},
		convReLU("3", 128, 3, 1),
		[]Layer{Flatten{}, Linear{Name: "fc1", Out: 256}, Activation{ReLU}, Dropout{DefaultDropout}, Linear{Name: "fc2", Out: AsClasses}}),
	"alternative": slices.Concat(
		convReLU("1", 16, 5, 2), []Layer{MaxPool{Kernel: 2}},
		convReLU("2", 32, 5, 2), []Layer{MaxPool{Kernel: 2}},
		[]Layer{Flatten{}, Linear{Name: "fc1", Out: 128}, Activation{ReLU}, Dropout{DefaultDropout}, Linear{Name: "fc2", Out: AsClasses}}),
	"logistic": {Flatten{}, Linear{Name: "linear", Out: AsClasses}},
}

// convReLU is a convolution that keeps the image's size, batch-norm and ReLU.
func convReLU(number string, out, kernel, padding int) []Layer {
	return []Layer{Conv{Name: "conv" + number, Out: out, Kernel: kernel, Padding: padding}, BatchNorm{Name: "bn" + number}, Activation{ReLU}}
}

// Names returns the names of the built-in networks, sorted.
func Names() []string { return slices.Sorted(maps.Keys(zoo)) }

// Zoo returns the built-in network of that name for images of the given shape
// and the given classes, and whether there is one.
func Zoo(name string, input Shape, classes []string) (Network, bool) {
	layers, ok := zoo[name]
	return Network{Name: name, Input: input, Classes: classes, Layers: slices.Clone(layers)}, ok
}
