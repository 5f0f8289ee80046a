package trainer

import (
	"cmp"
	"context"
	"image"
	"slices"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/model"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/picture"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/plots"
)

// Prediction lists the classes of an image, the most probable first; of equally
// probable ones, the first class comes first.
type Prediction []ClassProbability

// ClassProbability is the probability that an image is of a class.
type ClassProbability struct {
	Class       string  `json:"class"` // its name
	Label       int     `json:"label"` // its number, from 0
	Probability float32 `json:"probability"`
}

// Best returns the most probable class.
func (p Prediction) Best() ClassProbability { return p[0] }

// Predict classifies a picture of any size and colour, which it frames as the model's
// training images were; see [Model.Input].
func (m *Model) Predict(img image.Image) (Prediction, error) {
	list, err := m.PredictBatch([]image.Image{img})
	if err != nil {
		return nil, err
	}
	return list[0], nil
}

// PredictBatch classifies pictures. It is faster than calling Predict for each, and gives
// the same probabilities but for rounding: a backend may compute many images by another
// algorithm than one. A nil among them is [ErrUsage].
func (m *Model) PredictBatch(images []image.Image) ([]Prediction, error) {
	s := dataset.Split{N: len(images), Shape: imageShape(m.Network), Labels: make([]byte, len(images))}
	for i, img := range images {
		if img == nil {
			return nil, usage("picture %d is nil", i+1)
		}
		s.Images = append(s.Images, m.Input(img, picture.InvertAuto)...)
	}
	return m.Classify(context.Background(), s)
}

// Input returns the network's input for a picture, (H, W, C): framed as the model's
// training images were, in as many channels, and inverted as invert says.
func (m *Model) Input(img image.Image, invert picture.Invert) []byte {
	in := m.Network.Input
	return picture.Input(img, m.Framing, invert, in.H, in.W, in.C)
}

// predictBatch is the number of images that Classify classifies at a time, if they are not
// large.
const predictBatch = 32

// Classify classifies images that have the shape of the network's input already, such
// as those of a dataset. It ignores their labels.
func (m *Model) Classify(ctx context.Context, images dataset.Split) ([]Prediction, error) {
	if images.N == 0 {
		return nil, nil
	}
	if err := checkSplit("classified", images, dataset.Info{Classes: make([]string, dataset.MaxClasses), Shape: imageShape(m.Network)}); err != nil {
		return nil, err
	}
	m.lock.Lock()
	defer m.lock.Unlock()
	if m.classifier == nil {
		var err error
		most := halved(model.Config{Network: m.Network}, predictBatch, predictBytes)
		if m.classifier, err = m.open(model.Config{Images: most, EvalBatches: slices.Compact([]int{1, most}), EvalImages: most}); err != nil {
			return nil, err
		}
	}
	most := m.classifier.largest()
	var list []Prediction
	for first := 0; first < images.N; first += most {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		n := min(most, images.N-first)
		probs, err := m.classifier.classify(images.Images[first*images.Len():][:n*images.Len()], n)
		if err != nil {
			return nil, err
		}
		for i := range n {
			list = append(list, m.prediction(probs[i*len(m.Network.Classes):][:len(m.Network.Classes)]))
		}
	}
	return list, nil
}

// classify uploads n images, at most a batch, and returns their probabilities,
// (n, classes).
func (s *session) classify(pixels []byte, n int) ([]float32, error) {
	batch := s.largest() // of which the last may be images of earlier calls
	if n == 1 {
		batch = 1
	}
	for _, write := range []struct {
		to   kernels.Tensor
		data []byte
	}{
		{s.net.Images.First(n), pixels},
		{s.net.Eval.Order.First(batch), kernels.AsBytes(indices(0, batch))},
		{s.net.Eval.State, kernels.AsBytes(kernels.State{}.Words())},
	} {
		if err := s.prog.Write(write.to, write.data); err != nil {
			return nil, err
		}
	}
	if err := s.prog.Run(model.EvalSection(batch), 1); err != nil {
		return nil, err
	}
	probs := make([]float32, n*len(s.net.Config.Network.Classes))
	return probs, s.prog.Read(s.net.Probs.First(n), kernels.AsBytes(probs))
}

// prediction sorts the probabilities of an image's classes.
func (m *Model) prediction(probabilities []float32) Prediction {
	p := make(Prediction, len(probabilities))
	for i, x := range probabilities {
		p[i] = ClassProbability{m.Network.Classes[i], i, x}
	}
	slices.SortStableFunc(p, func(a, b ClassProbability) int { return cmp.Compare(b.Probability, a.Probability) })
	return p
}

// Explain returns a picture of an input of the network, (H, W, C), overlaid with where
// the network saw the class with the given label; cam is the method. A network without
// convolutions, an input of another size, an unknown label and an unknown method are
// [ErrUsage].
func (m *Model) Explain(input []byte, label int, cam CAM) (image.Image, error) {
	if err := cam.check(); err != nil {
		return nil, err
	}
	if !m.Network.HasFeatures() {
		return nil, usage("the network %s has no convolutions, so there is no class activation map", m.Network.Name)
	}
	one := dataset.Split{N: 1, Shape: imageShape(m.Network), Images: input, Labels: []byte{0}}
	if classes := len(m.Network.Classes); label < 0 || label >= classes || len(input) != one.Len() {
		return nil, usage("an input of %d bytes and the class %d: want %d bytes and a class from 0 to %d", len(input), label, one.Len(), classes-1)
	}
	heats, err := m.heats(cam, one, []int{label})
	if err != nil {
		return nil, err
	}
	return plots.Heated(one.Picture(0), heats[0]), nil
}
