package trainer

import (
	"slices"
	"time"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/model"
)

// Activations of a batch take at most this many bytes, or the batch is smaller: without
// gradients, large images should not need more memory than to train on one of them.
const (
	evalBytes    = 128 << 20
	predictBytes = 48 << 20
	explainBytes = 16 << 20
)

// halved returns a batch size, divided by 2 until the activations take at most so many
// bytes. It follows from the network alone: another machine must not round otherwise.
func halved(c model.Config, size, most int) int {
	bytes := func(batch int) int {
		c.Images, c.EvalImages, c.EvalBatches = size, size, []int{batch}
		if c.Explain > 0 {
			c.Explain = batch
		}
		net, err := model.Build(c)
		if err != nil {
			return 0 // whoever builds the plan says so
		}
		return net.Plan.Bytes()
	}
	one := bytes(1)
	for size > 1 && bytes(size)-one > most {
		size /= 2
	}
	return size
}

// evalBatchSizes are the batch sizes of evaluation to choose from. All divide the sizes
// of Fashion-MNIST's validation and test sets. The activations of the first take less
// memory than those of a training step with a batch of 64.
var evalBatchSizes = []int{100, 250, 500, 1000, 2500}

// A batch may take this much longer per image than the fastest, and this part of the
// device's memory in addition to that of the smallest.
const (
	evalSlack  = 1.1
	evalMemory = 1. / 32
)

// evaluating returns the configuration with sections to evaluate each of the given
// numbers of images: with the smallest batch size that is nearly the fastest by the
// backend's estimate, the first if it has none, or less if the images are large. Precision, replicas and a training
// beside it change nothing, so that they evaluate alike.
func evaluating(c model.Config, backend kernels.Backend, counts ...int) model.Config {
	c.EvalImages = slices.Max(counts)
	size := halved(model.Config{Network: c.Network}, evalBatchSizes[0], evalBytes)
	if e, ok := backend.(kernels.Estimator); ok && size == evalBatchSizes[0] {
		size = bestEvalBatch(model.Config{Network: c.Network, Images: c.EvalImages, EvalImages: c.EvalImages}, e, counts)
	}
	c.EvalBatches = evalBatches(size, counts)
	return c
}

func bestEvalBatch(c model.Config, e kernels.Estimator, counts []int) int {
	type candidate struct {
		size int
		took time.Duration
	}
	var all []candidate
	least := 0 // bytes of the plan with the smallest batch
	for _, size := range evalBatchSizes {
		c.EvalBatches = evalBatches(size, counts)
		net, err := model.Build(c)
		if err != nil {
			break // whoever builds the plan says so
		}
		bytes := net.Plan.Bytes()
		if len(all) == 0 {
			least = bytes
		}
		took, err := estimate(e, net.Plan, size, counts)
		if err != nil || float64(bytes-least) > evalMemory*float64(e.DeviceMemory()) {
			break
		}
		all = append(all, candidate{size, took})
	}
	if len(all) == 0 {
		return evalBatchSizes[0]
	}
	fastest := slices.MinFunc(all, func(a, b candidate) int { return int(a.took - b.took) })
	for _, c := range all {
		if float64(c.took) <= evalSlack*float64(fastest.took) {
			return c.size
		}
	}
	return fastest.size
}

// estimate returns about how long the evaluation of all images takes.
func estimate(e kernels.Estimator, p *kernels.Plan, size int, counts []int) (total time.Duration, err error) {
	for _, n := range counts {
		full, last := model.Batches(n, size)
		for _, s := range []struct{ batch, times int }{{size, full}, {last, min(last, 1)}} {
			if s.times == 0 {
				continue
			}
			took, err := e.Estimate(p, model.EvalSection(s.batch))
			if err != nil {
				return 0, err
			}
			total += took * time.Duration(s.times)
		}
	}
	return total, nil
}

// evalBatches lists the batch sizes needed to evaluate each of the given numbers of
// images, at most size at a time.
func evalBatches(size int, counts []int) []int {
	var sizes []int
	for _, n := range counts {
		full, last := model.Batches(n, size)
		if full > 0 {
			sizes = append(sizes, size)
		}
		if last > 0 {
			sizes = append(sizes, last)
		}
	}
	slices.Sort(sizes)
	return slices.Compact(sizes)
}
