package trainer

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/model"
)

// augmentations are what --augment names.
var augmentations = map[string]model.Augmentation{
	"none":     {},
	"original": {Rotate: 10, Flip: kernels.FlipRandom, Crop: 4},
	"light":    {Flip: kernels.FlipAlternating, Crop: 2, Erase: .25},
}

// flips are what --flip names.
var flips = map[string]kernels.Flip{
	"none": kernels.FlipNone, "random": kernels.FlipRandom, "alternating": kernels.FlipAlternating,
}

// augmentation is the one that Augment names, but for the transforms that are
// set alone.
func (c *Config) augmentation() (model.Augmentation, error) {
	a, ok := augmentations[c.Augment]
	if !ok {
		return a, usage("--augment %q is unknown: want one of %s", c.Augment, names(augmentations))
	}
	if c.Rotate != nil {
		if a.Rotate = *c.Rotate; !(a.Rotate >= 0 && a.Rotate <= 180) {
			return a, usage("--rotate is %v: want 0 to 180 degrees", a.Rotate)
		}
	}
	if c.Flip != nil {
		if a.Flip, ok = flips[*c.Flip]; !ok {
			return a, usage("--flip %q is unknown: want one of %s", *c.Flip, names(flips))
		}
	}
	if c.Crop != nil {
		if a.Crop = *c.Crop; a.Crop < 0 || a.Crop > model.Side {
			return a, usage("--crop is %d: want 0 to %d pixels of padding", a.Crop, model.Side)
		}
	}
	if c.Erase != nil {
		if a.Erase = *c.Erase; !(a.Erase >= 0 && a.Erase <= 1) {
			return a, usage("--erase is %v: want a probability from 0 to 1", a.Erase)
		}
	}
	return a, nil
}

// names lists a table's keys.
func names[V any](table map[string]V) string {
	return strings.Join(slices.Sorted(maps.Keys(table)), ", ")
}

// Augmented returns images, each (28, 28), as the first training steps of the
// configuration would see them: versions of each, one behind the other.
func Augmented(backend kernels.Backend, c Config, images [][]byte, versions int) ([][]byte, error) {
	a, err := c.augmentation()
	if err != nil {
		return nil, err
	}
	n := len(images)
	s, err := open(backend, model.Config{Model: "logistic", Optimizer: model.DefaultSGD(), Augment: a, TrainBatches: []int{n}, TrainImages: n},
		dataset.Split{N: n, Images: slices.Concat(images...), Labels: make([]byte, n)})
	if err != nil {
		return nil, err
	}
	defer s.close()
	if err := s.net.WriteInit(s.prog, c.Seed); err != nil {
		return nil, err
	}
	if err := s.prog.Write(s.net.Train.Order, kernels.AsBytes(indices(0, n))); err != nil {
		return nil, err
	}
	seen := make([][][]byte, n) // by image
	for version := range versions {
		state := kernels.NewState(c.Seed, uint32(version), 0, 0)
		state.Epoch = uint32(version)
		if err := s.prog.Write(s.net.Train.State, kernels.AsBytes(state.Words())); err != nil {
			return nil, err
		}
		if err := s.prog.Run(model.TrainSection(n), 1); err != nil {
			return nil, err
		}
		x := make([]float32, n*model.Side*model.Side)
		if err := s.prog.Read(s.net.Input(n), kernels.AsBytes(x)); err != nil {
			return nil, err
		}
		pixels, err := unnormalized(x)
		if err != nil {
			return nil, err
		}
		for i := range seen {
			seen[i] = append(seen[i], pixels[i*model.Side*model.Side:(i+1)*model.Side*model.Side])
		}
	}
	return slices.Concat(seen...), nil
}

// unnormalized returns the bytes that normalisation has made into x.
func unnormalized(x []float32) ([]byte, error) {
	bytes := map[float32]byte{}
	for b, v := range model.Normalization() {
		bytes[v] = byte(b)
	}
	pixels := make([]byte, len(x))
	for i, v := range x {
		b, ok := bytes[v]
		if !ok {
			return nil, fmt.Errorf("pixel %d is %v, which no byte becomes", i, v)
		}
		pixels[i] = b
	}
	return pixels, nil
}
