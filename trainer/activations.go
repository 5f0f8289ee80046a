package trainer

import (
	"math"
	"slices"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/model"
)

// Activation is what neighbouring layers, which are computed together, make of an
// image.
type Activation struct {
	Layers []string  // names of the layers
	Shape  []int     // (H, W, C), or (units)
	Values []float32 // channels last
}

// Activations classifies an input of the network, (H, W, C), and returns what the
// layers make of it on the way, in order. The last are the logits; probabilities are
// their softmax. It keeps the compiled network until [Model.Close].
func (m *Model) Activations(input []byte) (list []Activation, probabilities []float32, err error) {
	one := dataset.Split{N: 1, Shape: imageShape(m.Network), Images: input, Labels: []byte{0}}
	if err := checkSplit("traced", one, m.info()); err != nil {
		return nil, nil, err
	}
	m.lock.Lock()
	defer m.lock.Unlock()
	if m.tracer == nil {
		if m.tracer, err = m.open(model.Config{Images: 1, EvalImages: 1, EvalBatches: []int{1}, Trace: 1}); err != nil {
			return nil, nil, err
		}
	}
	if list, err = m.tracer.trace(input); err != nil {
		return nil, nil, err
	}
	return list, softmax(list[len(list)-1].Values), nil
}

// trace uploads an image and returns what the layers make of it.
func (s *session) trace(pixels []byte) ([]Activation, error) {
	for _, write := range []struct {
		to   kernels.Tensor
		data []byte
	}{
		{s.net.Images, pixels},
		{s.net.Eval.Order, kernels.AsBytes(indices(0, 1))},
		{s.net.Eval.State, kernels.AsBytes(kernels.State{}.Words())},
	} {
		if err := s.prog.Write(write.to, write.data); err != nil {
			return nil, err
		}
	}
	if err := s.prog.Run(model.TraceSection, 1); err != nil {
		return nil, err
	}
	var list []Activation
	for _, t := range s.net.Traced {
		a := Activation{Layers: t.Layers, Shape: t.Output.Shape[1:], Values: make([]float32, t.Output.Len())}
		if err := s.prog.Read(t.Output, kernels.AsBytes(a.Values)); err != nil {
			return nil, err
		}
		list = append(list, a)
	}
	return list, nil
}

func softmax(logits []float32) []float32 {
	largest, sum := float64(slices.Max(logits)), 0.
	for _, x := range logits {
		sum += math.Exp(float64(x) - largest)
	}
	probabilities := make([]float32, len(logits))
	for i, x := range logits {
		probabilities[i] = float32(math.Exp(float64(x)-largest) / sum)
	}
	return probabilities
}

// FirstFilters returns the weights of the network's first layer, (N, H, W, C), and that
// shape.
func (m *Model) FirstFilters() (weights []float32, shape [4]int) {
	first := m.net.Params[0]
	l := first.Layout
	return slices.Clone(m.weights.part(m.net, first)), [4]int{l.Out, l.H, l.W, l.C}
}
