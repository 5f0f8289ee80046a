package cpuref_test

import (
	"strings"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/cpuref"
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// contents is a plan with what some of its word tensors hold; the rest is zero.
type contents struct {
	plan  kernels.Plan
	words map[int][]uint32 // by buffer
}

func (c *contents) f(shape ...int) kernels.Tensor {
	return c.plan.Tensor("", kernels.Float32, shape...)
}
func (c *contents) b(shape ...int) kernels.Tensor { return c.plan.Tensor("", kernels.Uint8, shape...) }

// u adds words that all equal value.
func (c *contents) u(value uint32, shape ...int) kernels.Tensor {
	t := c.plan.Tensor("", kernels.Uint32, shape...)
	words := make([]uint32, t.Len())
	for i := range words {
		words[i] = value
	}
	c.words[t.Buffer] = words
	return t
}

func (c *contents) state(s kernels.State) kernels.Tensor {
	t := c.u(0, kernels.StateWords)
	c.words[t.Buffer] = s.Words()
	return t
}

func (c *contents) gather(cursor, image, rectangle uint32) kernels.Op {
	return kernels.Gather{Images: c.b(3, 4, 5, 2), Labels: c.b(3), Order: c.u(image, 8), State: c.state(kernels.State{Cursor: cursor}),
		Table: c.f(2, 256), X: c.f(6, 4, 5, 2), Y: c.u(0, 6), Augment: kernels.Augment{Erase: 1 << 31}, Erasures: c.u(rectangle, 9)}
}

func (c *contents) loss(cursor, slot, label uint32) kernels.Op {
	return kernels.SoftmaxCrossEntropy{Logits: c.f(6, 4), Labels: c.u(label, 6), State: c.state(kernels.State{Cursor: cursor, Slot: slot}),
		Loss: c.f(3), Correct: c.u(0, 3), Probs: c.f(10, 4), SampleLosses: c.f(10)}
}

func (c *contents) maxPool(size int, position uint32) kernels.Op {
	return kernels.MaxPoolBackward{DY: c.f(2, 2, 2, 5), Index: c.u(position, 2, 2, 2, 5), DX: c.f(2, 2*size, 2*size, 5), Size: size, Stride: size}
}

func (c *contents) batchNorm(size int, position uint32) kernels.Op {
	x := []int{2, 2 * size, 2 * size, 5}
	return kernels.BatchNormReLUPoolBackward{X: c.f(x...), Y: c.f(2, 2, 2, 5), DY: c.f(2, 2, 2, 5), Index: c.u(position, 2, 2, 2, 5),
		Gamma: c.f(5), Mean: c.f(5), InvStd: c.f(5), DX: c.f(x...), DGamma: c.f(5), DBeta: c.f(5), Size: size}
}

func (c *contents) adam(slot uint32) kernels.Op {
	return kernels.Adam{Param: c.f(7), Grad: c.f(7), M: c.f(7), V: c.f(7), State: c.state(kernels.State{Slot: slot}), LearningRates: c.f(3),
		Beta1: .9, Beta2: .999, Eps: 1e-8}
}

func (c *contents) sgd(slot uint32) kernels.Op {
	return kernels.SGD{Param: c.f(7), Grad: c.f(7), State: c.state(kernels.State{Slot: slot}), LearningRates: c.f(3)}
}

// run compiles and runs op.
func (c *contents) run(t *testing.T, b kernels.Backend, op kernels.Op) error {
	t.Helper()
	c.plan.Section("step").Add(op)
	p, err := b.Compile(&c.plan)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for buffer, words := range c.words {
		whole := kernels.Tensor{Buffer: buffer, Type: kernels.Uint32, Shape: []int{len(words)}}
		if err := p.Write(whole, kernels.AsBytes(words)); err != nil {
			t.Fatal(err)
		}
	}
	return p.Run("step", 1)
}

// Contents that lead outside a tensor give an error that says what is wrong, on
// every tier; those at the limit give none.
func TestInvalidContents(t *testing.T) {
	const rectangle = 4<<16 | 5 // the whole image
	cases := []struct {
		op   func(*contents) kernels.Op
		want string // of the error, or ""
	}{
		{func(c *contents) kernels.Op { return c.gather(2, 2, rectangle) }, ""},
		{func(c *contents) kernels.Op { return c.gather(3, 2, rectangle) }, "(Gather): entry 8 is outside Order"},
		{func(c *contents) kernels.Op { return c.gather(1<<32-1, 2, rectangle) }, "(Gather): entry 4294967295 is outside Order"},
		{func(c *contents) kernels.Op { return c.gather(2, 3, rectangle) }, "(Gather): entry 2 of Order is image 3"},
		{func(c *contents) kernels.Op { return c.gather(2, 2, 5<<16|5) }, "(Gather): entry 0 of Erasures is 5×5 pixels"},
		{func(c *contents) kernels.Op { return c.gather(2, 2, 4<<16|6) }, "(Gather): entry 0 of Erasures is 4×6 pixels"},
		{func(c *contents) kernels.Op { return c.gather(2, 2, 4<<16) }, "(Gather): entry 0 of Erasures is 4×0 pixels"},
		{func(c *contents) kernels.Op { return c.loss(4, 2, 3) }, ""},
		{func(c *contents) kernels.Op { return c.loss(5, 2, 3) }, "(SoftmaxCrossEntropy): cursor 5"},
		{func(c *contents) kernels.Op {
			op := c.loss(4, 2, 3).(kernels.SoftmaxCrossEntropy)
			op.SampleLosses = c.f(9)
			return op
		}, "(SoftmaxCrossEntropy): cursor 4 and 6 samples are outside SampleLosses"},
		{func(c *contents) kernels.Op { return c.loss(4, 3, 3) }, "(SoftmaxCrossEntropy): slot 3"},
		{func(c *contents) kernels.Op { return c.loss(4, 2, 4) }, "(SoftmaxCrossEntropy): label 4"},
		{func(c *contents) kernels.Op { return c.maxPool(2, 3) }, ""},
		{func(c *contents) kernels.Op { return c.maxPool(2, 4) }, "(MaxPoolBackward): position 4"},
		{func(c *contents) kernels.Op { return c.maxPool(3, 8) }, ""},
		{func(c *contents) kernels.Op { return c.maxPool(3, 1<<32-1) }, "(MaxPoolBackward): position 4294967295"},
		{func(c *contents) kernels.Op { return c.batchNorm(2, 3) }, ""},
		{func(c *contents) kernels.Op { return c.batchNorm(2, 4) }, "(BatchNormReLUPoolBackward): position 4"},
		{func(c *contents) kernels.Op { return c.batchNorm(3, 8) }, ""},
		{func(c *contents) kernels.Op { return c.batchNorm(3, 9) }, "(BatchNormReLUPoolBackward): position 9"},
		{func(c *contents) kernels.Op { return c.adam(2) }, ""},
		{func(c *contents) kernels.Op { return c.adam(3) }, "(Adam): slot 3"},
		{func(c *contents) kernels.Op { return c.sgd(2) }, ""},
		{func(c *contents) kernels.Op { return c.sgd(3) }, "(SGD): slot 3"},
	}
	for _, tier := range cpuref.Tiers() {
		b := open(t, tier, 2)
		for _, test := range cases {
			c := &contents{words: map[int][]uint32{}}
			err := c.run(t, b, test.op(c))
			if test.want == "" && err != nil {
				t.Errorf("%s: %v, want no error", tier, err)
			}
			if test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("%s: error %v, want one with %q", tier, err, test.want)
			}
		}
	}
}
