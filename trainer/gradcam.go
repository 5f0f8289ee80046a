package trainer

import (
	"image"
	"slices"

	"golang.org/x/image/draw"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/model"
)

// CAM is a method that shows where a convolutional network saw a class. It
// computes a class activation map from the features A of the last convolution and
// the gradient g of the class's score with respect to them.
type CAM string

const (
	// HiResCAM is ReLU(Σ_c g_c A_c), at each position (Draelos & Carin
	// 2020, arXiv:2011.08891). If a linear layer follows the features, it shows
	// exactly the positions that raised the score.
	HiResCAM CAM = "hirescam"
	// GradCAM is ReLU(Σ_c ḡ_c A_c) with the mean ḡ_c of a channel's gradient
	// over all positions (Selvaraju et al. 2017, arXiv:1610.02391). It suits
	// networks that average their features before the last layer. If they are
	// flattened instead, as in the built-in networks, the mean hides how the
	// gradient varies with the position: two in five of fashioncnn's maps are empty.
	GradCAM CAM = "gradcam"
)

// CAMs lists the methods, the default first.
var CAMs = []CAM{HiResCAM, GradCAM}

// check refuses an unknown method.
func (c CAM) check() error {
	if !slices.Contains(CAMs, c) {
		return usage("the method of the class activation map is %q: want %s or %s", c, HiResCAM, GradCAM)
	}
	return nil
}

// title names the method in a picture.
func (c CAM) title() string {
	if c == GradCAM {
		return "Grad-CAM (Selvaraju et al. 2017)"
	}
	return "HiResCAM (Draelos & Carin 2020)"
}

// heats returns a map (H, W) for each image of where the network saw the given
// class, scaled so that its maximum is 1. If nothing supports the class, the map is
// all 0.
func (m *Model) heats(c CAM, images dataset.Split, classes []int) ([][]float32, error) {
	batch := halved(model.Config{Network: m.Network, Explain: 1}, images.N, explainBytes)
	s, err := m.open(model.Config{EvalImages: batch, EvalBatches: []int{batch}, Explain: batch}, images)
	if err != nil {
		return nil, err
	}
	defer s.close()
	shape := s.net.Explained.Features.Shape // (N, H, W, C)
	h, w, channels := shape[1], shape[2], shape[3]
	size := h * w * channels
	var heats [][]float32
	for first := 0; first < images.N; first += batch {
		n := min(batch, images.N-first)
		features, grads, err := s.explain(first, classes[first:][:n])
		if err != nil {
			return nil, err
		}
		for i := range n {
			heats = append(heats, enlarged(c.heat(features[i*size:][:size], grads[i*size:][:size], channels), h, w, images.Shape))
		}
	}
	return heats, nil
}

// explain classifies the images from one on, as many as there are classes and at most a
// batch. It returns the features and the gradients of each image's class score with
// respect to them, both (N, H, W, C); those after the last image's mean nothing.
func (s *session) explain(first int, classes []int) (features, grads []float32, err error) {
	e := s.net.Explained
	order := make([]uint32, e.ScoreGrad.Dim(0))
	copy(order, indices(first, len(classes)))
	score := make([]float32, e.ScoreGrad.Len())
	for i, class := range classes {
		score[i*e.ScoreGrad.Dim(1)+class] = 1
	}
	for _, write := range []struct {
		to   kernels.Tensor
		data []byte
	}{
		{e.ScoreGrad, kernels.AsBytes(score)},
		{s.net.Eval.Order, kernels.AsBytes(order)},
		{s.net.Eval.State, kernels.AsBytes(kernels.State{}.Words())},
	} {
		if err := s.prog.Write(write.to, write.data); err != nil {
			return nil, nil, err
		}
	}
	if err := s.prog.Run(model.ExplainSection, 1); err != nil {
		return nil, nil, err
	}
	features, grads = make([]float32, e.Features.Len()), make([]float32, e.FeatureGrads.Len())
	if err := s.prog.Read(e.Features, kernels.AsBytes(features)); err != nil {
		return nil, nil, err
	}
	return features, grads, s.prog.Read(e.FeatureGrads, kernels.AsBytes(grads))
}

// heat combines the features and gradients of one image, (H, W, C), into a map
// (H, W) with values from 0 to 1.
func (c CAM) heat(features, grads []float32, channels int) []float32 {
	if c == GradCAM {
		grads = channelMeans(grads, channels)
	}
	heat := make([]float32, len(features)/channels)
	for p := range heat {
		sum := 0.
		for k := p * channels; k < (p+1)*channels; k++ {
			sum += float64(grads[k]) * float64(features[k])
		}
		heat[p] = float32(max(sum, 0))
	}
	if most := slices.Max(heat); most > 0 {
		for p := range heat {
			heat[p] /= most
		}
	}
	return heat
}

// channelMeans replaces every value of (H, W, C) by the mean of its channel.
func channelMeans(values []float32, channels int) []float32 {
	sums := make([]float64, channels)
	for i, v := range values {
		sums[i%channels] += float64(v)
	}
	means := make([]float32, len(values))
	for i := range means {
		means[i] = float32(sums[i%channels] / float64(len(values)/channels))
	}
	return means
}

// enlarged resizes a map (h, w) with values from 0 to 1 to the size of an image,
// bilinearly.
func enlarged(heat []float32, h, w int, to dataset.Shape) []float32 {
	const full = 1<<16 - 1
	small, large := image.NewGray16(image.Rect(0, 0, w, h)), image.NewGray16(image.Rect(0, 0, to.W, to.H))
	for i, v := range heat {
		level := uint16(v * full)
		small.Pix[2*i], small.Pix[2*i+1] = uint8(level>>8), uint8(level)
	}
	draw.BiLinear.Scale(large, large.Bounds(), small, small.Bounds(), draw.Src, nil)
	out := make([]float32, to.H*to.W)
	for i := range out {
		out[i] = float32(uint16(large.Pix[2*i])<<8|uint16(large.Pix[2*i+1])) / full
	}
	return out
}
