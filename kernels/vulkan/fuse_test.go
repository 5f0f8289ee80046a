//go:build cgo

package vulkan

import (
	"fmt"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// pair is an op and the next one.
type pair struct {
	name  string
	op    kernels.Op
	next  kernels.Op
	joins bool
	twice bool // joins also on a device that puts parts together in two passes
}

// pairs returns pairs that join, each followed by some that almost do, and their
// plan.
func pairs() (*kernels.Plan, []pair) {
	p := &kernels.Plan{}
	f := func(shape ...int) kernels.Tensor { return p.Tensor("", kernels.Float32, shape...) }
	u := func(shape ...int) kernels.Tensor { return p.Tensor("", kernels.Uint32, shape...) }
	state, other := u(kernels.StateWords), u(kernels.StateWords)
	c, elsewhere := f(64, 128), f(64, 128)
	product := kernels.GEMM{A: f(64, 40), B: f(40, 128), C: c}
	accumulated, withSums := product, product
	accumulated.Accumulate = true
	withSums.TransA, withSums.A, withSums.RowSums = true, f(40, 64), f(64)
	long := kernels.GEMM{A: f(64, 4096), B: f(4096, 128), C: c} // split on a GPU
	batchNorm := func(dy kernels.Tensor, channels int) kernels.BatchNormReLUPoolBackward {
		x := f(64, 2*128/channels, 2, channels)
		return kernels.BatchNormReLUPoolBackward{X: x, Y: f(dy.Shape...), DY: dy, Index: u(dy.Shape...), Gamma: f(channels),
			Mean: f(channels), InvStd: f(channels), DX: f(x.Shape...), DGamma: f(channels), DBeta: f(channels), Size: 2}
	}
	images, odd := c.Reshape(64, 1, 1, 128), f(64, 1, 1, 130)
	gradient := kernels.ConvBackwardInput{DY: f(64, 1, 1, 32), W: f(32, 3, 3, 128), DX: images, Stride: 1, Pad: 1}
	oddGradient := kernels.ConvBackwardInput{DY: f(64, 1, 1, 32), W: f(32, 3, 3, 130), DX: odd, Stride: 1, Pad: 1}
	oddNorm := kernels.BatchNormReLUPoolBackward{X: f(odd.Shape...), Y: f(odd.Shape...), DY: odd, Gamma: f(130), Mean: f(130),
		InvStd: f(130), DX: f(odd.Shape...), DGamma: f(130), DBeta: f(130), Size: 1}
	logits := f(64, 10)
	narrow := kernels.GEMM{A: f(64, 40), B: f(10, 40), C: logits, TransB: true}
	loss := kernels.SoftmaxCrossEntropy{Logits: logits, Labels: u(64), State: state, Loss: f(9), Correct: u(9), DLogits: f(64, 10)}
	ofOthers, inPlace := loss, loss
	ofOthers.Logits, inPlace.DLogits = f(64, 10), logits
	adam := kernels.Adam{Param: f(99), Grad: f(99), M: f(99), V: f(99), State: state, LearningRates: f(9), Beta1: .9, Beta2: .999, Eps: 1e-8}
	sgd := kernels.SGD{Param: f(99), Grad: f(99), State: state, LearningRates: f(9)}
	relu := kernels.ReLUForward{X: c, Y: c}
	return p, []pair{
		{"ReLU", product, relu, true, true},
		{"ReLU, split", long, relu, true, false},
		{"ReLU elsewhere", product, kernels.ReLUForward{X: c, Y: elsewhere}, false, false},
		{"ReLU of another", product, kernels.ReLUForward{X: elsewhere, Y: elsewhere}, false, false},
		{"ReLU, accumulated", accumulated, relu, false, false},
		{"ReLU after ReLU", relu, relu, false, false},
		{"ReLU after a convolution's gradient", gradient, relu, false, false},
		{"ReLU after a narrow product", narrow, kernels.ReLUForward{X: logits, Y: logits}, false, false},
		{"dropout", product, kernels.ReLUDropoutForward{X: c, State: state, Y: c, P: .5}, true, true},
		{"dropout elsewhere", product, kernels.ReLUDropoutForward{X: c, State: state, Y: elsewhere, P: .5}, false, false},
		{"ReLU backward", product, kernels.ReLUBackward{Y: elsewhere, DY: c, DX: c}, true, true},
		{"ReLU backward elsewhere", product, kernels.ReLUBackward{Y: c, DY: c, DX: elsewhere}, false, false},
		{"dropout backward", product, kernels.ReLUDropoutBackward{Y: elsewhere, DY: c, DX: c, P: .5}, true, true},
		{"dropout backward of another", product, kernels.ReLUDropoutBackward{Y: c, DY: elsewhere, DX: c, P: .5}, false, false},
		{"batch-norm after a product", product, batchNorm(images, 128), true, false},
		{"batch-norm, two windows per row", product, batchNorm(c.Reshape(64, 2, 1, 64), 64), true, false},
		{"batch-norm, windows narrower than a tile", product, batchNorm(c.Reshape(64, 16, 1, 8), 8), false, false},
		{"batch-norm of another", product, batchNorm(elsewhere.Reshape(64, 1, 1, 128), 128), false, false},
		{"batch-norm, accumulated", accumulated, batchNorm(images, 128), false, false},
		{"batch-norm beside sums of rows", withSums, batchNorm(images, 128), false, false},
		{"batch-norm", gradient, batchNorm(images, 128), true, false},
		{"batch-norm, channels that are no vec4s", oddGradient, oddNorm, false, false},
		{"loss", narrow, loss, true, false},
		{"loss of other logits", narrow, ofOthers, false, false},
		{"loss in place", narrow, inPlace, false, false},
		{"advance", adam, kernels.AdvanceState{State: state, Batch: 64}, true, false},
		{"advance of another state", adam, kernels.AdvanceState{State: other, Batch: 64}, false, false},
		{"advance after SGD", sgd, kernels.AdvanceState{State: state, Batch: 64}, false, false},
	}
}

// An op joins the one before it just where that is right, and where it does,
// their section has fewer dispatches. Without joins, and between ops that do not
// join, each has the dispatches that it has alone.
func TestJoins(t *testing.T) {
	plan, all := pairs()
	for _, p := range all {
		plan.Section("all").Add(p.op, p.next)
	}
	if err := plan.Check(); err != nil {
		t.Fatal(err)
	}
	desktop := targets()["desktop"]
	desktop.lastGroup = true
	twoPasses, unfused := desktop, desktop
	twoPasses.lastGroup, unfused.unfused = false, true
	for _, p := range all {
		for name, c := range map[string]struct {
			target target
			joins  bool
		}{
			"fused": {desktop, p.joins}, "in two passes": {twoPasses, p.joins && p.twice}, "unfused": {unfused, false},
		} {
			t.Run(p.name+"/"+name, func(t *testing.T) {
				layout := newLayout(plan)
				ops := []kernels.Op{p.op, p.next}
				l := lowering{target: c.target, layout: layout}
				if joins := l.follower(ops) != nil; joins != c.joins {
					t.Fatalf("joins: %v, want %v", joins, c.joins)
				}
				together := launches(t, c.target, layout, &kernels.Section{Ops: ops})
				apart := map[int][]string{}
				for i, op := range ops {
					apart[i] = launches(t, c.target, layout, &kernels.Section{Ops: []kernels.Op{op}})[0]
				}
				if same := fmt.Sprint(together) == fmt.Sprint(apart); same == c.joins || c.joins && len(together[1]) >= len(apart[1]) {
					t.Errorf("together the dispatches are\n%v, apart\n%v", together, apart)
				}
			})
		}
	}
}
