package trainer

import (
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset/datasettest"
)

func TestViews(t *testing.T) {
	image := dataset.Split{N: 1, Shape: dataset.Shape{H: 2, W: 3, C: 1}, Images: []byte{
		1, 2, 3,
		4, 5, 6}, Labels: []byte{0}}
	for _, c := range []struct {
		view View
		want []byte
	}{
		{View{}, []byte{1, 2, 3, 4, 5, 6}},
		{View{Mirrored: true}, []byte{3, 2, 1, 6, 5, 4}},
		{View{DY: 1}, []byte{0, 0, 0, 1, 2, 3}},
		{View{DY: -1}, []byte{4, 5, 6, 0, 0, 0}},
		{View{DX: 1}, []byte{0, 1, 2, 0, 4, 5}},
		{View{DX: -1}, []byte{2, 3, 0, 5, 6, 0}},
		{View{Mirrored: true, DY: 1, DX: -1}, []byte{0, 0, 0, 2, 1, 0}},
		{View{DX: 5}, make([]byte, 6)},
	} {
		if got := c.view.of(image); !slices.Equal(got.Images, c.want) {
			t.Errorf("%+v shows %v, want %v", c.view, got.Images, c.want)
		}
	}
	colour := dataset.Split{N: 1, Shape: dataset.Shape{H: 1, W: 2, C: 3}, Images: []byte{1, 2, 3, 4, 5, 6}, Labels: []byte{0}}
	if got := (View{Mirrored: true}).of(colour).Images; !slices.Equal(got, []byte{4, 5, 6, 1, 2, 3}) {
		t.Errorf("a mirrored colour image is %v", got)
	}
	if _, err := Views("twice"); !errors.Is(err, ErrUsage) {
		t.Errorf("unknown views: %v", err)
	}
}

// The probabilities of an ensemble are the means of its models' over all views.
func TestEvaluateEnsemble(t *testing.T) {
	a, data := trained(t)
	defer a.Close()
	c, _ := onColour()
	c.Seed, c.Epochs = 7, 1
	r, err := trainOn(t, t.Context(), c, data, Options{})
	if err != nil {
		t.Fatal(err)
	}
	b := r.Model
	defer b.Close()
	flip, err := Views("flip")
	if err != nil {
		t.Fatal(err)
	}
	e, err := EvaluateEnsemble(t.Context(), []*Model{a, b}, data.Test, flip)
	if err != nil {
		t.Fatal(err)
	}
	want := make([]float64, len(e.Probabilities))
	for _, m := range []*Model{a, b} {
		for _, v := range flip {
			one, err := m.Evaluate(t.Context(), v.of(data.Test))
			if err != nil {
				t.Fatal(err)
			}
			for i, p := range one.Probabilities {
				want[i] += float64(p) / 4
			}
		}
	}
	for i, p := range e.Probabilities {
		if !(math.Abs(float64(p)-want[i]) < 1e-7) {
			t.Fatalf("probability %d is %v, want %v", i, p, want[i])
		}
	}
	single, err := a.Evaluate(t.Context(), data.Test)
	if err != nil {
		t.Fatal(err)
	}
	if m, one := e.Metrics, single.Metrics; m.Parameters != 2*one.Parameters || m.FLOPsPerImage != 4*one.FLOPsPerImage || m.Protocol != one.Protocol {
		t.Errorf("an ensemble of two with two views has %d parameters, %d FLOPs and the protocol %s; a model alone %d, %d and %s",
			m.Parameters, m.FLOPsPerImage, m.Protocol, one.Parameters, one.FLOPsPerImage, one.Protocol)
	}
	// A mirrored image has the same two views.
	mirrored, err := EvaluateEnsemble(t.Context(), []*Model{a, b}, flip[1].of(data.Test), flip)
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range mirrored.Probabilities {
		if !(math.Abs(float64(p-e.Probabilities[i])) < 1e-6) {
			t.Fatalf("mirrored, probability %d is %v, not %v", i, p, e.Probabilities[i])
		}
	}
}

func TestEnsembleOfStrangers(t *testing.T) {
	a, data := trained(t)
	defer a.Close()
	c := defaultConfig()
	c.Model, c.Epochs, c.BatchSize = "logistic", 1, 20
	other := colour
	other.Classes = []string{"high", "middle", "deep"}
	r, err := trainOn(t, t.Context(), c, datasettest.StripesOf(other, 60), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Model.Close()
	if _, err := EvaluateEnsemble(t.Context(), []*Model{a, r.Model}, data.Test, []View{{}}); !errors.Is(err, ErrUsage) {
		t.Errorf("models of other classes: %v", err)
	}
	if _, err := EvaluateEnsemble(t.Context(), nil, data.Test, []View{{}}); !errors.Is(err, ErrUsage) {
		t.Errorf("no models: %v", err)
	}
}
