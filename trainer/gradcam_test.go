package trainer

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset/datasettest"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/model"
)

// The plan's gradient of a class's logit at the features equals the one computed
// by hand through the two layers after them.
func TestExplain(t *testing.T) {
	test := datasettest.Subset(t).Test
	const n = 3
	few := dataset.Split{N: n, Shape: test.Shape, Images: test.Images[:n*test.Len()], Labels: test.Labels[:n]}
	s, err := open(openBackend(t), model.Config{Network: mustNetwork(t, "alternative"), EvalImages: n, EvalBatches: []int{n}, Explain: n}, few)
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
	features, grads, err := s.explain(0, classes)
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

// Both methods agree with PyTorch, from the image to the map, empty maps included,
// within four times the error of PyTorch's float32 or, with alternative's 5×5 filters,
// thirteen: the error of F(4×4, 5×5) by which the CPU convolves them, in terms of the
// direct algorithm's, is at most that (TestWinogradErrors of package cpuref).
func TestCAMAgainstPyTorch(t *testing.T) {
	text, err := os.ReadFile("testdata/cam.json")
	if err != nil {
		t.Fatal(err)
	}
	var want struct {
		Seed   uint64
		Images int
		Cases  []struct {
			Model   string
			Classes []int
			Size    [2]int
			Maps    map[CAM][][]float64
			Error   map[CAM]float64
		}
	}
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	if len(want.Cases) != 2 {
		t.Fatalf("%d cases, want 2", len(want.Cases))
	}
	test := datasettest.Subset(t).Test
	twice := dataset.Split{N: 2 * want.Images, Shape: test.Shape}
	for range 2 {
		twice.Images = append(twice.Images, test.Images[:want.Images*test.Len()]...)
		twice.Labels = append(twice.Labels, test.Labels[:want.Images]...)
	}
	for _, c := range want.Cases {
		factor := map[string]float64{"fashioncnn": 4, "alternative": 13}[c.Model]
		features, grads := explained(t, c.Model, want.Seed, twice, c.Classes)
		places := c.Size[0] * c.Size[1]
		size := len(features) / twice.N
		for _, cam := range CAMs {
			empty := 0
			for i, reference := range c.Maps[cam] {
				got := cam.heat(features[i*size:][:size], grads[i*size:][:size], size/places)
				if slices.Max(got) == 0 {
					empty++
				}
				for k := range reference {
					if diff := math.Abs(float64(got[k]) - reference[k]); !(diff <= factor*c.Error[cam]) {
						t.Fatalf("%s of %s, image %d, place %d: %v, want %v", cam, c.Model, i, k, got[k], reference[k])
					}
				}
			}
			if len(c.Maps[cam]) != twice.N || empty > 0 && cam == HiResCAM {
				t.Errorf("%s of %s: %d maps, %d of them empty", cam, c.Model, len(c.Maps[cam]), empty)
			}
		}
	}
}

// explained returns features and gradients of a network with initial weights.
func explained(t *testing.T, name string, seed uint64, images dataset.Split, classes []int) (features, grads []float32) {
	t.Helper()
	s, err := open(openBackend(t), model.Config{Network: mustNetwork(t, name), EvalImages: images.N, EvalBatches: []int{images.N}, Explain: images.N}, images)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	if err := s.net.WriteInit(s.prog, seed); err != nil {
		t.Fatal(err)
	}
	if features, grads, err = s.explain(0, classes); err != nil {
		t.Fatal(err)
	}
	return features, grads
}

// HiResCAM weighs every place with its own gradient, Grad-CAM with the channel's
// mean; negative values become 0, and the largest value is 1.
func TestHeat(t *testing.T) {
	features := []float32{ // (2, 2, 2)
		1, 0, 0, 1,
		2, 1, 0, 0,
	}
	grads := []float32{4, -1, 0, -1, 0, -1, 0, -1} // means 1, −1
	for cam, want := range map[CAM][]float32{HiResCAM: {1, 0, 0, 0}, GradCAM: {1, 0, 1, 0}} {
		if got := cam.heat(features, grads, 2); !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", cam, got, want)
		}
		if got := cam.heat(features, make([]float32, 8), 2); slices.Max(got) != 0 {
			t.Errorf("%s without gradients: got %v, want 0", cam, got)
		}
	}
	heat := enlarged([]float32{1, 0, 0, 0}, 2, 2, dataset.FashionMNIST.Shape)
	if heat[0] != 1 || heat[len(heat)-1] != 0 || !(heat[14] > .2 && heat[14] < .8) {
		t.Errorf("enlarged corners %v, %v and edge %v, want 1, 0 and something between", heat[0], heat[len(heat)-1], heat[14])
	}
}

// An explanation does not need the weights' gradients: its section must not write
// them.
func TestExplainSectionIsForwardAndInputGradients(t *testing.T) {
	net, err := model.Build(model.Config{Network: mustNetwork(t, "fashioncnn"), Images: 4, EvalImages: 4, EvalBatches: []int{4}, Explain: 4})
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
	if _, err := model.Build(model.Config{Network: mustNetwork(t, "logistic"), Images: 4, EvalImages: 4, EvalBatches: []int{4}, Explain: 4}); err == nil {
		t.Error("a network without convolutions was explained")
	}
}

// More images than fit into a batch are explained as each is alone.
func TestHeatsInBatches(t *testing.T) {
	m := &Model{Network: mustNetwork(t, "fashioncnn"), backend: openBackend(t)}
	var err error
	if m.net, err = model.Build(model.Config{Network: m.Network}); err != nil {
		t.Fatal(err)
	}
	s := snapshot{values: make([]float32, m.net.Values.Len()), running: make([]float32, m.net.Running.Len())}
	for i := range m.net.Params {
		copy(s.part(m.net, m.net.Params[i]), m.net.Init(i, 42))
	}
	for _, p := range m.net.Stats {
		for i := range s.part(m.net, p) {
			s.part(m.net, p)[i] = p.Value
		}
	}
	m.weights = s
	split := datasettest.Subset(t).Test
	split.N = halved(model.Config{Network: m.Network, Explain: 1}, 200, explainBytes) + 3
	split.Images, split.Labels = split.Images[:split.N*split.Len()], split.Labels[:split.N]
	classes := make([]int, split.N)
	for i := range classes {
		classes[i] = i % 10
	}
	heats, err := m.heats(HiResCAM, split, classes)
	if err != nil || len(heats) != split.N {
		t.Fatalf("%d maps of %d images: %v", len(heats), split.N, err)
	}
	last := split.N - 1
	alone, err := m.heats(HiResCAM, dataset.Split{N: 1, Shape: split.Shape, Images: split.Image(last), Labels: []byte{0}}, classes[last:])
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range alone[0] {
		if got := heats[last][i]; !(math.Abs(float64(got-want)) <= 1e-4) {
			t.Fatalf("place %d of the last image is %v, alone %v", i, got, want)
		}
	}
}
