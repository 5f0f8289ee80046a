package parity

import (
	"bytes"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/cpuref"
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/model"
)

// Ops that the CPU backend joins to the op before them give the same bits as ops
// that something keeps apart. A residual network has sums and ReLU's gradients after
// convolutions and batch-norms, in batches of many images and of fewer than tasks.
func TestJoinedBits(t *testing.T) {
	c := model.Config{Network: zoo(t, "resnet20"), Optimizer: model.DefaultSGD(), TrainBatches: []int{batch, 1}, TrainImages: batch + 1,
		Images: batch + 1, EvalBatches: []int{batch, 1}, EvalImages: batch + 1}
	images, labels := synthetic(c.Images)
	for _, tier := range cpuref.Tiers() {
		if tier == "generic" {
			continue // joins in the same code, slowly
		}
		b, err := cpuref.Open(cpuref.Options{Tier: tier, Threads: 2})
		if err != nil {
			t.Fatal(err)
		}
		closeAfter(t, b)
		joined, apart := start(t, b, c, images, labels), startWith(t, b, c, images, labels, keepApart)
		for _, r := range []*run{joined, apart} {
			for _, n := range []int{batch, 1} {
				r.steps(model.TrainSection(n), 1)
				r.steps(model.EvalSection(n), 1)
			}
		}
		for _, tensor := range append(stored(joined.net), joined.net.Probs) {
			if !bytes.Equal(joined.bytes(tensor), apart.bytes(tensor)) {
				t.Errorf("%s: %s differs between joined and separate ops", tier, joined.net.Plan.Buffers[tensor.Buffer].Name)
			}
		}
	}
}

// keepApart puts an op that no other joins between any two ops of a plan.
func keepApart(p *kernels.Plan) {
	between := kernels.Fill{X: p.Tensor("between", kernels.Float32, 1)}
	for _, s := range p.Sections {
		var ops []kernels.Op
		for _, op := range s.Ops {
			ops = append(ops, op, between)
		}
		s.Ops = ops
	}
}
