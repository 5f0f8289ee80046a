package checkpoint

import (
	"fmt"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/model"
)

// ToTorch returns elements in the device's order, (Out, H, W, C), in PyTorch's order,
// (Out, C, H, W). It serves the weights of convolutions and of the first fully
// connected layer, whose columns are a flattened image; for all other tensors,
// H = W = 1 and the order is the same. It panics if the number of elements is not
// that of the layout, which is a bug in the program.
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
