package trainer

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset/datasettest"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/model"
)

// The gradient of a class's logit that the plan finds at the features is what
// the two layers behind them give by hand.
func TestExplain(t *testing.T) {
	test := datasettest.Subset(t).Test
	const n = 3
	few := dataset.Split{N: n, Images: test.Images[:n*dataset.ImageBytes], Labels: test.Labels[:n]}
	s, err := open(openBackend(t), model.Config{Model: "alternative", Dropout: .25, EvalImages: n, EvalBatches: []int{n}, Explain: n}, few)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	if err := s.net.WriteInit(s.prog, 42); err != nil {
		t.Fatal(err)
	}
	weights, err := readSnapshot(s.net, s.prog, 0)
	if err != nil {
		t.Fatal(err)
	}
	classes := []int{3, 0, 9}
	features, grads, err := s.explain(classes)
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(s.net.Params, func(p model.Param) bool { return p.Name == "fc1.weight" })
	w1, b1, w2 := weights.part(s.net, s.net.Params[at]), weights.part(s.net, s.net.Params[at+1]), weights.part(s.net, s.net.Params[at+2])
	in, hidden := len(features)/n, len(b1)
	for i, class := range classes {
		want, size := make([]float64, in), make([]float64, in)
		for j := range hidden {
			sum := float64(b1[j])
			for k, f := range features[i*in:][:in] {
				sum += float64(w1[j*in+k]) * float64(f)
			}
			for k := range want {
				if product := float64(w2[class*hidden+j]) * float64(w1[j*in+k]); sum > 0 {
					want[k] += product
					size[k] += math.Abs(product)
				}
			}
		}
		for k := range want {
			if diff := math.Abs(float64(grads[i*in+k]) - want[k]); !(diff <= float64(hidden+8)*0x1p-24*size[k]) {
				t.Fatalf("image %d, feature %d: gradient %v, want %v", i, k, grads[i*in+k], want[k])
			}
		}
	}
	if slices.Max(features) <= 0 {
		t.Error("the features are all 0: nothing was classified")
	}
}

// α is the mean gradient of a channel, what speaks against the class is cut
// off, and the largest value is 1.
func TestClassActivation(t *testing.T) {
	features := []float32{ // (2, 2, 2)
		1, 0, 0, 1,
		2, 1, 0, 0,
	}
	grads := []float32{4, -1, 0, -1, 0, -1, 0, -1} // means 1, −1
	if got, want := classActivation(features, grads, 2), []float32{1, 0, 1, 0}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := classActivation(features, make([]float32, 8), 2); slices.Max(got) != 0 {
		t.Errorf("without gradients got %v, want 0", got)
	}
	heat := enlarged([]float32{1, 0, 0, 0}, 2, 2)
	if heat[0] != 1 || heat[len(heat)-1] != 0 || !(heat[model.Side/2] > .2 && heat[model.Side/2] < .8) {
		t.Errorf("enlarged corners %v, %v and edge %v, want 1, 0 and something between", heat[0], heat[len(heat)-1], heat[model.Side/2])
	}
}

// Grad-CAM needs no weights' gradients: its section must not write any.
func TestExplainSectionIsForwardAndInputGradients(t *testing.T) {
	net, err := model.Build(model.Config{Model: "fashioncnn", Images: 4, EvalImages: 4, EvalBatches: []int{4}, Explain: 4})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, op := range net.Plan.Find(model.ExplainSection).Ops {
		names = append(names, strings.TrimPrefix(fmt.Sprintf("%T", op), "kernels."))
	}
	want := []string{"Gather", "ConvForward", "BatchNormReLUPoolInference", "ConvForward", "BatchNormReLUPoolInference",
		"ConvForward", "BatchNormReLUPoolInference", "GEMM", "ReLUForward", "GEMM", "GEMM", "ReLUBackward", "GEMM"}
	if !slices.Equal(names, want) {
		t.Errorf("the section is %v, want %v", names, want)
	}
	if _, err := model.Build(model.Config{Model: "logistic", Images: 4, EvalImages: 4, EvalBatches: []int{4}, Explain: 4}); err == nil {
		t.Error("a network without convolutions was explained")
	}
}
