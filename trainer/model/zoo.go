package model

import (
	"fmt"
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
	// The network of the preset fast.
	"fastcnn": slices.Concat(
		convNormReLU("1", 32), []Layer{MaxPool{Kernel: 2}},
		convNormReLU("2", 64), convNormReLU("3", 64), []Layer{MaxPool{Kernel: 2}},
		convNormReLU("4", 128),
		[]Layer{Flatten{}, Dropout{DefaultDropout}, Linear{Name: "fc1", Out: 128}, Activation{ReLU}, Linear{Name: "fc2", Out: AsClasses}}),
	"logistic": {Flatten{}, Linear{Name: "linear", Out: AsClasses}},
	"resnet20": resNet(3),
}

// convReLU is a convolution that keeps the image's size, batch-norm and ReLU.
func convReLU(number string, out, kernel, padding int) []Layer {
	return []Layer{Conv{Name: "conv" + number, Out: out, Kernel: kernel, Padding: padding}, BatchNorm{Name: "bn" + number}, Activation{ReLU}}
}

// resNet is the network of He et al., "Deep Residual Learning for Image
// Recognition" (2015), section 4.2, with the given number of blocks per stage:
// ResNet-20 has three. Where a block changes the shape, its shortcut is a 1×1
// convolution and batch-norm (their option B), as in torchvision. No convolution
// has a bias.
func resNet(blocks int) []Layer {
	layers := convNormReLU("1", 16)
	for stage, out := range []int{16, 32, 64} {
		for i := range blocks {
			stride := 1
			if stage > 0 && i == 0 {
				stride = 2
			}
			block := Residual{Name: fmt.Sprintf("stage%d_%d", stage+1, i+1),
				Body: slices.Concat(convNorm("1", out, stride), []Layer{Activation{ReLU}}, convNorm("2", out, 1))}
			if stride > 1 {
				block.Shortcut = []Layer{Conv{Name: "downsample", Out: out, Kernel: 1, Stride: stride, NoBias: true}, BatchNorm{Name: "downsample_bn"}}
			}
			layers = append(layers, block, Activation{ReLU})
		}
	}
	return append(layers, AvgPool{}, Flatten{}, Linear{Name: "fc", Out: AsClasses})
}

// convNorm is a 3×3 convolution without a bias, and batch-norm.
func convNorm(number string, out, stride int) []Layer {
	return []Layer{Conv{Name: "conv" + number, Out: out, Kernel: 3, Stride: stride, Padding: 1, NoBias: true}, BatchNorm{Name: "bn" + number}}
}

// convNormReLU is convNorm and ReLU.
func convNormReLU(number string, out int) []Layer {
	return append(convNorm(number, out, 1), Activation{ReLU})
}

// Names returns the names of the built-in networks, sorted.
func Names() []string { return slices.Sorted(maps.Keys(zoo)) }

// Zoo returns the built-in network of that name for images of the given shape
// and the given classes, and whether there is one.
func Zoo(name string, input Shape, classes []string) (Network, bool) {
	layers, ok := zoo[name]
	return Network{Name: name, Input: input, Classes: classes, Layers: slices.Clone(layers)}, ok
}
