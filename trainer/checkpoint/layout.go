package checkpoint

import (
	"fmt"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/model"
)

// ToTorch returns the device's elements, (Out, H, W, C), in PyTorch's order,
// (Out, C, H, W). That is a convolution's weight, the first fully connected
// layer's, whose columns are a flattened image, and with H = W = 1 all else.
// It panics if the lengths differ, which is a mistake in the program.
func ToTorch(device []float32, l model.Layout) []float32 {
	torch := make([]float32, checkedLen(device, l))
	for i, x := range device {
		torch[l.Torch(i)] = x
	}
	return torch
}

// FromTorch is the inverse of [ToTorch].
func FromTorch(torch []float32, l model.Layout) []float32 {
	device := make([]float32, checkedLen(torch, l))
	for i := range device {
		device[i] = torch[l.Torch(i)]
	}
	return device
}

func checkedLen(data []float32, l model.Layout) int {
	n := l.Out * l.H * l.W * l.C
	if len(data) != n {
		panic(fmt.Sprintf("checkpoint: %d elements for a layout of %d", len(data), n))
	}
	return n
}
