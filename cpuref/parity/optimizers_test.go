package parity

import (
	"os"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/kernels/vulkan"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/checkpoint"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/model"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/model/modeltest"
)

// A few steps of each optimiser give PyTorch's losses, weights and moving averages, and
// evaluations use the averages.
func TestOptimizersAgainstPyTorch(t *testing.T) {
	const path = "testdata/optimizers.yaml"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	network, err := model.ParseYAML(path, text)
	if err != nil {
		t.Fatal(err)
	}
	network.Input, network.Classes = model.Shape{H: 8, W: 6, C: 1}, make([]string, 3)
	file := loadFixtures(t, "optimizers.safetensors")
	optimizers := []model.Optimizer{model.DefaultAdam(), model.DefaultAdamW(), model.DefaultSGD(), model.DefaultMuon()}
	withOracle(t, func(t *testing.T, b kernels.Backend) {
		if _, onGPU := b.(*vulkan.Backend); onGPU && *vulkanSample != 1 {
			t.Log("only with -vulkan-sample 1: a software driver takes 25 s to compile the network, and TestOps has the ops")
			return
		}
		for _, o := range optimizers {
			o.WeightDecay = .5
			t.Run(o.Name, func(t *testing.T) { compareOptimizer(t, b, network, o, file) })
		}
	})
}

func compareOptimizer(t *testing.T, b kernels.Backend, n model.Network, o model.Optimizer, file fixtures) {
	steps := file.get(t, o.Name+".losses").Shape[0]
	batchImages, batchLabels := formulaImages(n)
	var images, labels []byte
	for range steps {
		images, labels = append(images, batchImages...), append(labels, batchLabels...)
	}
	r := start(t, b, model.Config{Network: n, Optimizer: o, EMA: .25, Images: len(labels), TrainBatches: []int{networkBatch},
		TrainImages: len(labels), EvalBatches: []int{networkBatch}, EvalImages: networkBatch}, images, labels)
	rates := make([]float32, steps)
	for i := range rates {
		rates[i] = .01
	}
	r.write(r.net.LearningRates, rates)
	r.steps(model.TrainSection(networkBatch), steps)
	r.steps(model.EvalSection(networkBatch), 1)

	check := func(name string, got, want []float32) {
		if off := modeltest.Distance(got, want); !(off <= torchTolerance) {
			t.Errorf("%s: %.3g of their length from PyTorch's, want %v", name, off, torchTolerance)
		}
	}
	check("losses", r.read(r.net.Train.Loss), file.get(t, o.Name+".losses").Data)
	check("probabilities", r.read(r.net.Probs), softmax(file.get(t, o.Name+".logits")))
	for _, p := range r.net.Params {
		check(p.Name, checkpoint.ToTorch(r.read(p.Tensor), p.Layout), file.get(t, o.Name+"."+p.Name).Data)
	}
	averages := func(arena kernels.Tensor, list []model.Param) {
		all := r.read(arena)
		for _, p := range list {
			got := checkpoint.ToTorch(all[p.Tensor.Offset:][:p.Tensor.Len()], p.Layout)
			check("the average of "+p.Name, got, file.get(t, o.Name+".average."+p.Name).Data)
		}
	}
	averages(r.net.EvalValues, r.net.Params)
	averages(r.net.EvalRunning, r.net.Stats)
}
