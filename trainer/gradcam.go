package trainer

import (
	"image"
	"slices"

	"golang.org/x/image/draw"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/model"
)

// gradCAM returns for each image where a network that has convolutions saw the
// class in question: ReLU(Σ_c α_c A_c), A_c a channel of the last convolution's
// features and α_c the mean gradient of the class's logit over it, scaled to a
// maximum of 1 and to the image's size (Selvaraju et al. 2017). Where nothing
// speaks for the class all is 0.
func gradCAM(backend kernels.Backend, name string, weights snapshot, images dataset.Split, classes []int) ([][]float32, error) {
	s, err := open(backend, model.Config{Model: name, EvalImages: images.N, EvalBatches: []int{images.N}, Explain: images.N}, images)
	if err != nil {
		return nil, err
	}
	defer s.close()
	if err := weights.write(s.net, s.prog); err != nil {
		return nil, err
	}
	features, grads, err := s.explain(classes)
	if err != nil {
		return nil, err
	}
	shape := s.net.Explained.Features.Shape // (N, H, W, C)
	h, w, c := shape[1], shape[2], shape[3]
	heats := make([][]float32, images.N)
	for i := range heats {
		heats[i] = enlarged(classActivation(features[i*h*w*c:][:h*w*c], grads[i*h*w*c:][:h*w*c], c), h, w)
	}
	return heats, nil
}

// explain runs the network and follows each image's class back to the features.
func (s *session) explain(classes []int) (features, grads []float32, err error) {
	e := s.net.Explained
	score := make([]float32, e.ScoreGrad.Len())
	for i, class := range classes {
		score[i*model.Classes+class] = 1
	}
	for _, write := range []struct {
		to   kernels.Tensor
		data []byte
	}{
		{e.ScoreGrad, kernels.AsBytes(score)},
		{s.net.Eval.Order, kernels.AsBytes(indices(0, len(classes)))},
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

// classActivation combines features and gradients of one image, (H, W, C), into
// (H, W) from 0 to 1.
func classActivation(features, grads []float32, channels int) []float32 {
	alpha := make([]float64, channels)
	for i, g := range grads {
		alpha[i%channels] += float64(g)
	}
	heat := make([]float32, len(features)/channels)
	for p := range heat {
		sum := 0.
		for c, a := range alpha {
			sum += a * float64(features[p*channels+c])
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

// enlarged scales (h, w) values from 0 to 1 to (28, 28), bilinearly.
func enlarged(heat []float32, h, w int) []float32 {
	const full = 1<<16 - 1
	small, large := image.NewGray16(image.Rect(0, 0, w, h)), image.NewGray16(image.Rect(0, 0, model.Side, model.Side))
	for i, v := range heat {
		level := uint16(v * full)
		small.Pix[2*i], small.Pix[2*i+1] = uint8(level>>8), uint8(level)
	}
	draw.BiLinear.Scale(large, large.Bounds(), small, small.Bounds(), draw.Src, nil)
	out := make([]float32, model.Side*model.Side)
	for i := range out {
		out[i] = float32(uint16(large.Pix[2*i])<<8|uint16(large.Pix[2*i+1])) / full
	}
	return out
}
