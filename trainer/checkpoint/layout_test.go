package checkpoint

import (
	"slices"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/model"
)

// layouts are a convolution's weight, a fully connected layer's over a
// flattened image, and tensors that are the same in both orders.
var layouts = []model.Layout{
	{Out: 5, H: 3, W: 2, C: 4}, {Out: 2, H: 7, W: 7, C: 3}, {Out: 6, H: 1, W: 1, C: 1}, {Out: 4, H: 1, W: 1, C: 9},
}

// TestLayouts moves each element by its four coordinates.
func TestLayouts(t *testing.T) {
	for _, l := range layouts {
		device := make([]float32, l.Out*l.H*l.W*l.C)
		want := make([]float32, len(device))
		for o := range l.Out {
			for h := range l.H {
				for w := range l.W {
					for c := range l.C {
						value := float32(((o*10+h)*10+w)*10 + c)
						device[((o*l.H+h)*l.W+w)*l.C+c] = value
						want[((o*l.C+c)*l.H+h)*l.W+w] = value
					}
				}
			}
		}
		torch := ToTorch(device, l)
		if !slices.Equal(torch, want) {
			t.Errorf("%+v: ToTorch gives %v, want %v", l, torch, want)
		}
		if back := FromTorch(torch, l); !slices.Equal(back, device) {
			t.Errorf("%+v: FromTorch gives %v, want %v", l, back, device)
		}
	}
}
