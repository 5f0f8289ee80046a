package model_test

import (
	"math/rand/v2"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/cpuref/oracle"
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/model"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/model/modeltest"
)

const batch = 3

// Joining layers and working in place change no result of a training step and
// of an evaluation, but for rounding: the oracle gives the same loss, gradients
// and running statistics either way.
func TestJoiningChangesNothing(t *testing.T) {
	networks := 300
	if testing.Short() {
		networks = 60
	}
	joined := 0
	for seed := range uint64(networks) {
		network := modeltest.Random(seed)
		if seed == 0 { // rare: a body that hands the gradient through, and a shortcut that works on it in place
			network.Layers = []model.Layer{model.Conv{Out: 2, Kernel: 1},
				model.Residual{Body: []model.Layer{model.Dropout{}}, Shortcut: []model.Layer{model.Activation{Function: model.SiLU}}},
				model.Flatten{}, model.Linear{Out: model.AsClasses}}
		}
		c := model.Config{Network: network, Optimizer: model.Optimizer{Name: "sgd"},
			Images: batch, TrainBatches: []int{batch}, TrainImages: batch, EvalBatches: []int{batch}, EvalImages: batch}
		got, want := oracleStep(t, c, model.Build), oracleStep(t, c, model.BuildPlainly)
		if got.ops < want.ops {
			joined++
		}
		for name, w := range want.results {
			if off := modeltest.Distance(got.results[name], w); !(off <= 1e-4) {
				text, _ := c.Network.YAML()
				t.Errorf("%s differs by %.3g of its length in the network of seed %d:\n%s", name, off, seed, text)
			}
		}
	}
	t.Logf("%d of %d networks have layers that join", joined, networks)
	if joined < networks/2 {
		t.Error("too few networks have layers that join: the test shows little")
	}
}

// stepResult is what a training step and an evaluation leave.
type stepResult struct {
	ops     int
	results map[string][]float32
}

func oracleStep(t *testing.T, c model.Config, build func(model.Config) (*model.Net, error)) stepResult {
	t.Helper()
	net, err := build(c)
	if err != nil {
		t.Fatal(err)
	}
	p, err := oracle.New().Compile(net.Plan)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	r := rand.New(rand.NewPCG(1, 0))
	images, labels := make([]byte, net.Images.Len()), make([]byte, batch)
	for i := range images {
		images[i] = byte(r.Uint32())
	}
	for i := range labels {
		labels[i] = byte(r.IntN(len(c.Network.Classes)))
	}
	order := []uint32{2, 0, 1}
	writes := []func() error{
		func() error { return net.WriteInit(p, 42) },
		func() error { return p.Write(net.Images, images) },
		func() error { return p.Write(net.Labels, labels) },
		func() error { return p.Write(net.Train.Order, kernels.AsBytes(order)) },
		func() error { return p.Write(net.Eval.Order, kernels.AsBytes(order)) },
		func() error { return p.Write(net.LearningRates, kernels.AsBytes([]float32{.01})) },
		func() error { return p.Run(model.TrainSection(batch), 1) },
		func() error { return p.Run(model.EvalSection(batch), 1) },
	}
	for _, write := range writes {
		if err := write(); err != nil {
			t.Fatal(err)
		}
	}
	s := stepResult{results: map[string][]float32{}}
	for name, tensor := range map[string]kernels.Tensor{"the loss": net.Train.Loss, "the evaluation's loss": net.Eval.Loss,
		"the gradient": net.Gradients, "the running statistics": net.Running, "the probabilities": net.Probs} {
		s.results[name] = make([]float32, tensor.Len())
		if err := p.Read(tensor, kernels.AsBytes(s.results[name])); err != nil {
			t.Fatal(err)
		}
	}
	for _, section := range net.Plan.Sections {
		s.ops += len(section.Ops)
	}
	return s
}
