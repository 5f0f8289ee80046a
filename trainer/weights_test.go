package trainer

import (
	"errors"
	"strings"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/checkpoint"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/model"
)

// Two operations for each weight and place where it is used, and a few per
// cent for the rest.
func TestFLOPsPerImage(t *testing.T) {
	products := map[string]int{
		"logistic":    2 * 7840,
		"alternative": 2 * (28*28*16*25 + 14*14*32*25*16 + 1568*128 + 128*10),
		"fashioncnn":  2 * (28*28*32*9 + 14*14*64*9*32 + 7*7*128*9*64 + 6272*256 + 256*10),
	}
	for name, least := range products {
		net, err := model.Build(model.Config{Model: name, Images: 100, EvalBatches: []int{100}, EvalImages: 100})
		if err != nil {
			t.Fatal(err)
		}
		if got := flopsPerImage(net); got < least || got > least+least/20 {
			t.Errorf("%s takes %d operations, want %d and at most a twentieth more", name, got, least)
		}
	}
}

// A file that fits no model is compared with the one it was most likely meant for.
func TestIdentify(t *testing.T) {
	for _, name := range model.Names() {
		net, err := model.Build(model.Config{Model: name})
		if err != nil {
			t.Fatal(err)
		}
		f := &checkpoint.File{}
		for _, s := range specs(net) {
			tensor := checkpoint.Tensor{Name: s.Name, Shape: s.Shape}
			if s.Integer {
				tensor.Ints = []int64{0}
			}
			f.Tensors = append(f.Tensors, tensor)
		}
		if got, err := identify(f); got != name || err != nil {
			t.Errorf("%s is taken for %q (%v)", name, got, err)
		}
		f.Tensors[0].Shape = []int{10, 3}
		f.Tensors = append(f.Tensors, checkpoint.Tensor{Name: "head.weight", Shape: []int{2, 2}})
		_, err = identify(f)
		if !errors.Is(err, checkpoint.ErrBadCheckpoint) || !strings.Contains(err.Error(), "as "+name+": ") ||
			!strings.Contains(err.Error(), f.Tensors[0].Name+" has shape (10, 3), expected (") ||
			!strings.HasSuffix(err.Error(), "; head.weight (2, 2) is unknown") || strings.Contains(err.Error(), "missing") {
			t.Errorf("%s with another first tensor: %v", name, err)
		}
	}
}
