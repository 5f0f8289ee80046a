package trainer

import (
	"fmt"
	"maps"
	"slices"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/model"
)

// augmentations are the values of the setting augment.
var augmentations = map[string]model.Augmentation{
	"none":     {},
	"original": {Rotate: 10, Flip: kernels.FlipRandom, Crop: 4},
	"light":    {Flip: kernels.FlipAlternating, Crop: 2, Erase: .25},
}

// flips are the values of the setting flip.
var flips = map[string]kernels.Flip{
	"none": kernels.FlipNone, "random": kernels.FlipRandom, "alternating": kernels.FlipAlternating,
}

// augmentation returns the augmentation that Augment names, with the transforms
// that are set individually overriding its own. Check has validated the values.
func (c *Config) augmentation() model.Augmentation {
	a := augmentations[c.Augment]
	if c.Rotate != nil {
		a.Rotate = *c.Rotate
	}
	if c.Flip != nil {
		a.Flip = flips[*c.Flip]
	}
	if c.Crop != nil {
		a.Crop = *c.Crop
	}
	if c.Erase != nil {
		a.Erase = *c.Erase
	}
	return a
}

// names returns a table's keys, sorted.
func names[V any](table map[string]V) []string {
	return slices.Sorted(maps.Keys(table))
}

// Augmented returns augmented versions of the images, each (28, 28), as training
// with the configuration would see them: all versions of the first image, then
// those of the second, and so on. A wrong setting is [ErrUsage].
func Augmented(backend kernels.Backend, c Config, images [][]byte, versions int) ([][]byte, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	network, err := fashionNetwork("logistic")
	if err != nil {
		return nil, err
	}
	n := len(images)
	s, err := open(backend, model.Config{Network: network, Optimizer: model.DefaultSGD(), Augment: c.augmentation(), TrainBatches: []int{n}, TrainImages: n},
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
		x := make([]float32, n*dataset.ImageBytes)
		if err := s.prog.Read(s.net.Input(n), kernels.AsBytes(x)); err != nil {
			return nil, err
		}
		pixels, err := unnormalized(x)
		if err != nil {
			return nil, err
		}
		for i := range seen {
			seen[i] = append(seen[i], pixels[i*dataset.ImageBytes:(i+1)*dataset.ImageBytes])
		}
	}
	return slices.Concat(seen...), nil
}

// unnormalized reverses the normalisation of pixels: it returns their bytes.
func unnormalized(x []float32) ([]byte, error) {
	bytes := map[float32]byte{}
	for b, v := range model.Normalization(1) {
		bytes[v] = byte(b)
	}
	pixels := make([]byte, len(x))
	for i, v := range x {
		b, ok := bytes[v]
		if !ok {
			return nil, fmt.Errorf("pixel %d is %v, which is not a normalised byte", i, v)
		}
		pixels[i] = b
	}
	return pixels, nil
}
