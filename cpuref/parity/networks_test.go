package parity

import (
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/cpuref"
	"github.com/fmnist-gpu/fmnist-gpu/cpuref/oracle"
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/kernels/kerneltest"
	"github.com/fmnist-gpu/fmnist-gpu/kernels/vulkan"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/checkpoint"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/model"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/model/modeltest"
)

var (
	update         = flag.Bool("update", false, "rewrite testdata/networks; then run testdata/networks.py")
	randomNetworks = flag.Uint64("random-networks", 0, "test `N` random networks on every backend (default 300 on the CPU's fastest tier, 60 on its others and 6 on Vulkan; with -short 30, 6 and 1)")
)

// networksFor returns how many random networks to test on b. A software driver takes
// 3 to 18 s to compile one, so all 300 on Vulkan are for -random-networks 300. The
// CPU's tiers differ in their inner loops only, so the fastest stands for them.
func networksFor(b kernels.Backend) uint64 {
	if *randomNetworks > 0 {
		return *randomNetworks
	}
	n := uint64(300)
	if testing.Short() {
		n = 30
	}
	tiers := cpuref.Tiers()
	switch _, onGPU := b.(*vulkan.Backend); {
	case onGPU:
		return min(6, n/30)
	case !strings.Contains(b.Name(), "(CPU, "+tiers[len(tiers)-1]+","):
		return n / 5
	}
	return n
}

const (
	networkBatch  = 6  // images, of networks.py
	torchNetworks = 25 // random networks with fixtures from PyTorch
)

// randomConfig trains a random network with a step of plain gradient descent.
func randomConfig(n model.Network) model.Config {
	return model.Config{Network: n, Optimizer: model.Optimizer{Name: "sgd"}, Images: networkBatch,
		TrainBatches: []int{networkBatch}, TrainImages: networkBatch, EvalBatches: []int{networkBatch}, EvalImages: networkBatch}
}

// formulaImages returns the images and labels that networks.py uses.
func formulaImages(n model.Network) (images, labels []byte) {
	images, labels = make([]byte, networkBatch*n.Input.Len()), make([]byte, networkBatch)
	for i := range images {
		images[i] = byte((i*i*31 + i*7) % 251)
	}
	for i := range labels {
		labels[i] = byte((3*i + 1) % len(n.Classes))
	}
	return images, labels
}

// In random networks, each op of a training step and of an evaluation agrees
// with the oracle when it starts from the oracle's tensors, and the whole step,
// run freely, gives the same loss and gradient.
func TestRandomNetworks(t *testing.T) {
	forEachBackend(t, func(t *testing.T, b kernels.Backend) {
		worst, count := 0., networksFor(b)
		for seed := range count {
			network := modeltest.Random(seed)
			c := randomConfig(network)
			images, labels := formulaImages(network)
			ok := t.Run(network.Name, func(t *testing.T) {
				net := build(t, c)
				for _, section := range []string{model.TrainSection(networkBatch), model.EvalSection(networkBatch)} {
					kerneltest.Replay(t, net.Plan, section, b, oracle.New(), func(p kernels.Program) error {
						return initialise(net, p, images, labels)
					})
				}
				worst = max(worst, compareFreely(t, b, c, images, labels))
			})
			if !ok {
				text, _ := network.YAML()
				t.Logf("the network of seed %d, for images of %v and %d classes:\n%s", seed, network.Input, len(network.Classes), text)
			}
		}
		t.Logf("%d networks; run freely, the gradient is off by at most %.2g of its length", count, worst)
	})
}

// compareFreely runs a step on b and on the oracle and returns the distance of
// the gradients, divided by the length of the oracle's.
func compareFreely(t *testing.T, b kernels.Backend, c model.Config, images, labels []byte) float64 {
	t.Helper()
	var losses, gradients [2][]float32
	for i, backend := range []kernels.Backend{b, oracle.New()} {
		r := start(t, backend, c, images, labels)
		r.steps(model.TrainSection(networkBatch), 1)
		losses[i], gradients[i] = r.read(r.net.Train.Loss), r.read(r.net.Gradients)
	}
	if off := math.Abs(float64(losses[0][0] - losses[1][0])); !(off <= 1e-4*math.Abs(float64(losses[1][0]))) {
		t.Errorf("the loss is %v, the oracle's %v", losses[0][0], losses[1][0])
	}
	off := modeltest.Distance(gradients[0], gradients[1])
	if !(off <= freeTolerance) {
		t.Errorf("the gradient is off by %.3g of its length, want %v", off, freeTolerance)
	}
	return off
}

// freeTolerance is the largest distance of a float32 step's gradient from the
// float64 oracle's, divided by the oracle's length. Batch-norm over few rows
// amplifies roundings by the inverse of their deviation, and a rounding can
// change which pixel is a window's largest: of 300 networks on the CPU the worst
// is off by 2.2e-3. Mistakes in the plan's wiring, made on purpose, gave 1.5e-2 to
// 0.2. The networks that PyTorch has computed are well-conditioned: all are within
// 1e-5 on the CPU.
const (
	freeTolerance  = 1e-2
	torchTolerance = 1e-4
)

// indexEntry is a network of testdata/networks/index.json.
type indexEntry struct {
	Name     string `json:"name"`
	Height   int    `json:"height"`
	Width    int    `json:"width"`
	Channels int    `json:"channels"`
	Classes  int    `json:"classes"`
}

// Networks read from YAML give PyTorch's loss, gradients, running statistics and
// logits.
func TestNetworksAgainstPyTorch(t *testing.T) {
	if *update {
		writeNetworks(t)
	}
	var index []indexEntry
	loadJSON(t, "networks/index.json", &index)
	file := loadFixtures(t, "networks.safetensors")
	withOracle(t, func(t *testing.T, b kernels.Backend) {
		for i, e := range index {
			if uint64(i) == networksFor(b) {
				break
			}
			t.Run(e.Name, func(t *testing.T) { compareWithPyTorch(t, b, e, file) })
		}
	})
}

func compareWithPyTorch(t *testing.T, b kernels.Backend, e indexEntry, file fixtures) {
	path := filepath.Join("testdata", "networks", e.Name+".yaml")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	network, err := model.ParseYAML(path, text)
	if err != nil {
		t.Fatal(err)
	}
	network.Input, network.Classes = model.Shape{H: e.Height, W: e.Width, C: e.Channels}, make([]string, e.Classes)
	images, labels := formulaImages(network)
	r := start(t, b, randomConfig(network), images, labels)
	r.write(r.net.LearningRates, make([]float32, r.net.LearningRates.Len())) // evaluate the same weights
	r.steps(model.TrainSection(networkBatch), 1)
	r.steps(model.EvalSection(networkBatch), 1)

	var got, want []float32
	for _, p := range r.net.Params {
		f := file.get(t, e.Name+"."+p.Name)
		if !slices.Equal(f.Shape, p.Layout.Shape) {
			t.Errorf("%s is %v, PyTorch's is %v", p.Name, p.Layout.Shape, f.Shape)
		}
		got, want = append(got, checkpoint.ToTorch(r.read(p.Grad), p.Layout)...), append(want, f.Data...)
	}
	check := func(name string, got, want []float32) {
		if off := modeltest.Distance(got, want); !(off <= torchTolerance) {
			t.Errorf("%s: %.3g of their length from PyTorch's, want %v", name, off, torchTolerance)
		}
	}
	check("gradients", got, want)
	for _, s := range r.net.Stats {
		check(s.Name, checkpoint.ToTorch(r.read(s.Tensor), s.Layout), file.get(t, e.Name+"."+s.Name).Data)
	}
	check("loss", r.read(r.net.Train.Loss), file.get(t, e.Name+".loss").Data)
	check("probabilities", r.read(r.net.Probs), softmax(file.get(t, e.Name+".logits")))
}

// softmax returns the probabilities of logits (N, classes).
func softmax(logits checkpoint.Tensor) []float32 {
	classes := logits.Shape[1]
	var probs []float32
	for row := range slices.Chunk(logits.Data, classes) {
		sum := 0.
		for _, z := range row {
			sum += math.Exp(float64(z))
		}
		for _, z := range row {
			probs = append(probs, float32(math.Exp(float64(z))/sum))
		}
	}
	return probs
}

// writeNetworks writes the first random networks, without dropout, because
// PyTorch draws masks differently.
func writeNetworks(t *testing.T) {
	t.Helper()
	dir := filepath.Join("testdata", "networks")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	var index []indexEntry
	for seed := range uint64(torchNetworks) {
		n := modeltest.Random(seed).WithDropout(0)
		text, err := n.YAML()
		if err != nil {
			t.Fatal(err)
		}
		header := fmt.Sprintf("# For images of %v and %d classes.\n", n.Input, len(n.Classes))
		if err := os.WriteFile(filepath.Join(dir, n.Name+".yaml"), []byte(header+text), 0o644); err != nil {
			t.Fatal(err)
		}
		index = append(index, indexEntry{n.Name, n.Input.H, n.Input.W, n.Input.C, len(n.Classes)})
	}
	text, err := json.MarshalIndent(index, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "index.json"), append(text, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}
