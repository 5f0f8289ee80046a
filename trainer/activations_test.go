package trainer

import (
	"math"
	"reflect"
	"slices"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset/datasettest"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/model"
)

// A network whose layers are joined in every way, some of which work in place.
const tracedNetwork = `layers:
  - conv: {out: 4, kernel: 3, padding: 1}
  - relu
  - conv: {out: 6, kernel: 3, padding: 1}
  - batchnorm
  - relu
  - maxpool: 2
  - residual: {body: [{conv: {out: 6, kernel: 3, padding: 1}}, batchnorm]}
  - relu
  - dropout: 0.5
  - flatten
  - linear: {out: 9}
  - relu
  - linear: {out: classes}
`

// initialModel returns a model with the initial weights of a network.
func initialModel(t *testing.T, n model.Network) *Model {
	t.Helper()
	m := &Model{Network: n, Normalization: model.DefaultNormalization(n.Input.C), backend: openBackend(t)}
	s, err := open(m.backend, model.Config{Network: n, EvalImages: 1, EvalBatches: []int{1}, Images: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	if err := s.net.WriteInit(s.prog, 42); err != nil {
		t.Fatal(err)
	}
	m.net = s.net
	if m.weights, err = readSnapshot(s.net, s.prog, 0); err != nil {
		t.Fatal(err)
	}
	return m
}

// Every layer's output is kept, the same for an image whatever came before it, and
// leads to the probabilities of Classify.
func TestActivations(t *testing.T) {
	n, err := ParseNetwork("traced.yaml", []byte(tracedNetwork), dataset.FashionMNIST)
	if err != nil {
		t.Fatal(err)
	}
	m := initialModel(t, n)
	test := datasettest.Subset(t).Test
	var first []Activation
	for _, i := range []int{0, 1, 0} {
		list, probabilities, err := m.Activations(test.Image(i))
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 && first != nil && !reflect.DeepEqual(list, first) {
			t.Error("another activation of the same image")
		} else if i == 0 {
			first = list
		}
		one := dataset.Split{N: 1, Shape: test.Shape, Images: test.Image(i), Labels: []byte{0}}
		want, err := m.Classify(t.Context(), one)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range want[0] {
			if diff := math.Abs(float64(probabilities[p.Label] - p.Probability)); !(diff <= 1e-6) {
				t.Errorf("image %d, class %d: probability %v, want %v", i, p.Label, probabilities[p.Label], p.Probability)
			}
		}
	}
	checkTrace(t, first)
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if again, _, err := m.Activations(test.Image(0)); err != nil || !reflect.DeepEqual(again, first) {
		t.Errorf("after Close: other activations (%v)", err)
	}
	if _, _, err := m.Activations(make([]byte, 5)); err == nil {
		t.Error("an input of 5 bytes")
	}
}

// checkTrace checks the activations of tracedNetwork.
func checkTrace(t *testing.T, list []Activation) {
	t.Helper()
	want := []Activation{
		{Layers: []string{"conv1"}, Shape: []int{28, 28, 4}},
		{Layers: []string{"relu1"}, Shape: []int{28, 28, 4}},
		{Layers: []string{"conv2", "bn1", "relu2", "maxpool1"}, Shape: []int{14, 14, 6}},
		{Layers: []string{"residual1", "relu3"}, Shape: []int{14, 14, 6}},
		{Layers: []string{"fc1"}, Shape: []int{9}},
		{Layers: []string{"relu4"}, Shape: []int{9}},
		{Layers: []string{"fc2"}, Shape: []int{10}},
	}
	if len(list) != len(want) {
		t.Fatalf("%d activations, want %d", len(list), len(want))
	}
	for i, w := range want {
		if a := list[i]; !slices.Equal(a.Layers, w.Layers) || !slices.Equal(a.Shape, w.Shape) {
			t.Errorf("activation %d: %v %v, want %v %v", i, a.Layers, a.Shape, w.Layers, w.Shape)
		}
	}
	for _, at := range []int{0, 4} { // a layer, and the ReLU after it
		if !(slices.Min(list[at].Values) < 0) {
			t.Errorf("%v has no negative value", list[at].Layers)
		}
		for k, x := range list[at].Values {
			if list[at+1].Values[k] != max(x, 0) {
				t.Fatalf("%v of %v is %v", list[at+1].Layers, x, list[at+1].Values[k])
			}
		}
	}
}

// The filters are the first layer's weights.
func TestFirstFilters(t *testing.T) {
	m := initialModel(t, mustNetwork(t, "fashioncnn"))
	weights, shape := m.FirstFilters()
	if shape != [4]int{32, 3, 3, 1} || !slices.Equal(weights, m.weights.values[:len(weights)]) || len(weights) != 32*9 {
		t.Errorf("%d weights of shape %v", len(weights), shape)
	}
}
