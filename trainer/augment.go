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
func (r *Recipe) augmentation() model.Augmentation {
	a := augmentations[r.Augment]
	if r.Rotate != nil {
		a.Rotate = *r.Rotate
	}
	if r.Flip != nil {
		a.Flip = flips[*r.Flip]
	}
	if r.Crop != nil {
		a.Crop = *r.Crop
	}
	if r.Erase != nil {
		a.Erase = *r.Erase
	}
	return a
}

// names returns a table's keys, sorted.
func names[V any](table map[string]V) []string {
	return slices.Sorted(maps.Keys(table))
}

// Augmented returns augmented versions of images as training with the recipe would
// see them: all versions of the first image, then those of the second, and so on. A
// wrong setting is [ErrUsage], images that make no split are [dataset.ErrBadData].
func Augmented(backend kernels.Backend, r Recipe, images dataset.Split, versions int) (dataset.Split, error) {
	if err := r.CheckFor(images.Shape); err != nil {
		return dataset.Split{}, err
	}
	classes := make([]string, dataset.MaxClasses)
	if err := checkSplit("given", images, dataset.Info{Shape: images.Shape, Classes: classes}); err != nil {
		return dataset.Split{}, err
	}
	if versions < 1 {
		return dataset.Split{}, usage("%d versions of each image: want 1 or more", versions)
	}
	n := images.N
	network, _ := model.Zoo("logistic", inputOf(images.Shape), classes) // any network reads its images alike
	s, err := open(backend, model.Config{Network: network, Optimizer: model.DefaultSGD(), Augment: r.augmentation(), TrainBatches: []int{n}, TrainImages: n}, images)
	if err != nil {
		return dataset.Split{}, err
	}
	defer s.close()
	if err := s.net.WriteInit(s.prog, r.Seed); err != nil {
		return dataset.Split{}, err
	}
	if err := s.prog.Write(s.net.Train.Order, kernels.AsBytes(indices(0, n))); err != nil {
		return dataset.Split{}, err
	}
	seen := dataset.Split{N: n * versions, Shape: images.Shape, Images: make([]byte, n*versions*images.Len()), Labels: make([]byte, n*versions)}
	for version := range versions {
		pixels, err := s.augmented(r.Seed, version)
		if err != nil {
			return dataset.Split{}, err
		}
		for i := range n {
			at := i*versions + version
			copy(seen.Image(at), pixels[i*images.Len():])
			seen.Labels[at] = images.Labels[i]
		}
	}
	return seen, nil
}

// augmented runs the training section, and returns the images that it saw, as bytes.
func (s *session) augmented(seed uint64, epoch int) ([]byte, error) {
	n := s.net.Config.TrainImages
	state := kernels.NewState(seed, uint32(epoch), 0, 0)
	state.Epoch = uint32(epoch)
	if err := s.prog.Write(s.net.Train.State, kernels.AsBytes(state.Words())); err != nil {
		return nil, err
	}
	if err := s.prog.Run(model.TrainSection(n), 1); err != nil {
		return nil, err
	}
	input := s.net.Input(n)
	x := make([]float32, input.Len())
	if err := s.prog.Read(input, kernels.AsBytes(x)); err != nil {
		return nil, err
	}
	return unnormalized(x)
}

// unnormalized reverses the default normalisation of pixels: it returns their bytes.
func unnormalized(x []float32) ([]byte, error) {
	bytes := map[float32]byte{}
	for b, v := range model.DefaultNormalization(1).Table() {
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
