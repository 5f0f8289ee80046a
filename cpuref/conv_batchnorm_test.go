package cpuref_test

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/cpuref"
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// trained is a plan with an op of a trained network, and the ops that it joins.
type trained struct {
	kernels.Plan
	inputs           []kernels.Tensor
	w                kernels.Tensor
	joined, separate kernels.Tensor // results
}

// newTrained returns the plan for n images of h×w pixels and i channels, o filters
// of size×size with the given stride, and a pool (1: none).
func newTrained(n, h, w, i, o, size, stride, pool int, relu bool) *trained {
	p := &trained{}
	input := func(name string, shape ...int) kernels.Tensor {
		t := p.Tensor(name, kernels.Float32, shape...)
		p.inputs = append(p.inputs, t)
		return t
	}
	oh, ow := kernels.ConvOutput(h, size, stride, size/2), kernels.ConvOutput(w, size, stride, size/2)
	p.w = input("w", o, size, size, i)
	op := kernels.ConvBatchNormInference{X: input("x", n, h, w, i), W: p.w, Bias: input("bias", o), Gamma: input("gamma", o),
		Beta: input("beta", o), RunningMean: input("mean", o), RunningVar: input("var", o),
		Z: p.Tensor("z", kernels.Float32, n, oh, ow, o), Y: p.Tensor("joined", kernels.Float32, n, oh/pool, ow/pool, o),
		Stride: stride, Pad: size / 2, ReLU: relu, Pool: pool, Eps: 1e-5}
	p.joined = op.Y
	p.Section("joined").Add(op)
	p.separate = p.Tensor("separate", kernels.Float32, op.Y.Shape...)
	norm := kernels.BatchNormInference{X: op.Z, Gamma: op.Gamma, Beta: op.Beta, RunningMean: op.RunningMean, RunningVar: op.RunningVar,
		Y: p.separate, Eps: op.Eps}
	p.Section("separate").Add(op.Conv())
	if relu {
		p.Section("separate").Add(kernels.BatchNormReLUPoolInference{X: norm.X, Gamma: norm.Gamma, Beta: norm.Beta,
			RunningMean: norm.RunningMean, RunningVar: norm.RunningVar, Y: norm.Y, Size: pool, Eps: norm.Eps})
	} else {
		p.Section("separate").Add(norm)
	}
	p.Section("train").Add(kernels.Fill{X: p.w, Value: .25})
	return p
}

// compile returns the plan's program with random numbers in its inputs.
func (p *trained) compile(t *testing.T, b kernels.Backend) kernels.Program {
	t.Helper()
	program, err := b.Compile(&p.Plan)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { program.Close() })
	for seed, tensor := range p.inputs {
		least := float32(0)
		if tensor.Buffer == p.w.Buffer {
			least = -.5
		}
		if err := program.Write(tensor, random(tensor, uint64(seed), least)); err != nil {
			t.Fatal(err)
		}
	}
	return program
}

// random returns the bytes of numbers from least to least + 1.
func random(t kernels.Tensor, seed uint64, least float32) []byte {
	r, values := rand.New(rand.NewPCG(seed, 0)), make([]float32, t.Len())
	for i := range values {
		values[i] = least + r.Float32()
	}
	return kernels.AsBytes(values)
}

// result runs a section and returns a tensor's bytes.
func result(t *testing.T, p kernels.Program, section string, of kernels.Tensor) []byte {
	t.Helper()
	if err := p.Run(section, 1); err != nil {
		t.Fatal(err)
	}
	data := make([]byte, of.Bytes())
	if err := p.Read(of, data); err != nil {
		t.Fatal(err)
	}
	return data
}

// A convolution that is normalised part by part gives the same bits as separate ops, with
// any number of threads, and allocates nothing. The shapes have several parts per image,
// several images per part, rows and columns outside every window, and both algorithms, each
// of Winograd's with tiles that lie only partly inside the image.
func TestConvBatchNormBits(t *testing.T) {
	for _, s := range [][8]int{ // n, h, w, i, o, size, stride, pool
		{1, 28, 28, 1, 32, 3, 1, 2}, {3, 13, 9, 1, 48, 3, 1, 2}, {2, 13, 9, 1, 48, 3, 1, 1}, {2, 13, 10, 1, 16, 3, 1, 3},
		{3, 13, 9, 2, 5, 3, 1, 2}, {2, 11, 10, 3, 70, 5, 2, 3}, {1, 40, 37, 16, 48, 3, 1, 1},
		{70, 4, 4, 3, 16, 1, 1, 1}, {19, 7, 7, 32, 64, 3, 1, 1}, {19, 7, 7, 32, 64, 3, 1, 2}, {1, 45, 46, 32, 80, 3, 1, 2},
		{33, 6, 5, 32, 48, 3, 1, 2}, {2, 14, 14, 31, 32, 3, 1, 3},
		{3, 13, 15, 2, 48, 3, 1, 2}, {2, 11, 10, 3, 80, 5, 2, 2}, {1, 29, 6, 7, 16, 1, 1, 2},
		{33, 7, 7, 32, 48, 3, 1, 2}, {33, 7, 7, 32, 48, 3, 1, 1}, {1, 3, 67, 32, 32, 3, 1, 2}, {33, 7, 6, 16, 32, 5, 1, 2},
		{5, 9, 11, 16, 48, 5, 1, 2}, {66, 5, 5, 16, 16, 5, 1, 1},
		{1, 7, 7, 3, 32, 3, 1, 1}, {1, 9, 9, 3, 16, 3, 1, 1}, {2, 11, 13, 3, 8, 3, 1, 1}, {1, 7, 7, 3, 10, 3, 1, 1},
	} {
		relu := s[7] > 1 || s[0]%2 == 0
		p := newTrained(s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7], relu)
		for _, tier := range cpuref.Tiers() {
			for _, threads := range []int{1, 3, 7} {
				program := p.compile(t, open(t, tier, threads))
				want := result(t, program, "separate", p.separate)
				if !bytes.Equal(result(t, program, "joined", p.joined), want) {
					t.Errorf("%v, %s, %d threads: the joined op gives other bits than separate ones", s, tier, threads)
				}
				if threads > 1 {
					continue
				}
				if n := testing.AllocsPerRun(1, func() { _ = program.Run("joined", 1) }); n != 0 {
					t.Errorf("%v, %s: the joined op allocates %v times", s, tier, n)
				}
			}
		}
	}
}

// A NaN or an infinity in the images ends up in the same elements as with separate ops. A
// pool passes over a NaN, unless that is its window's first element.
func TestConvBatchNormNaN(t *testing.T) {
	for _, s := range [][8]int{
		{1, 28, 28, 1, 32, 3, 1, 2}, {33, 7, 7, 32, 48, 3, 1, 2}, {4, 7, 7, 32, 48, 3, 1, 1}, {5, 9, 11, 16, 48, 5, 1, 2},
	} {
		for _, special := range []float64{math.NaN(), math.Inf(1)} {
			p := newTrained(s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7], true)
			x := make([]float32, p.inputs[1].Len())
			for i := 5; i < len(x); i += 613 {
				x[i] = float32(special)
			}
			for _, tier := range cpuref.Tiers() {
				program := p.compile(t, open(t, tier, 1))
				if err := program.Write(p.inputs[1], kernels.AsBytes(x)); err != nil {
					t.Fatal(err)
				}
				want, got := make([]float32, p.separate.Len()), make([]float32, p.joined.Len())
				copy(kernels.AsBytes(want), result(t, program, "separate", p.separate))
				copy(kernels.AsBytes(got), result(t, program, "joined", p.joined))
				for i, w := range want {
					if got[i] != w && !(got[i] != got[i] && w != w) {
						t.Fatalf("%v, %s, %v: element %d is %v, with separate ops %v", s, tier, special, i, got[i], w)
					}
				}
			}
		}
	}
}

// keptOps returns ops that prepare the plan's weights, each in another form, and their
// results; mixed says whether mixed precision is among them.
func keptOps(p *trained, mixed bool) (ops []kernels.Op, results []kernels.Tensor) {
	image := func(c int) kernels.Tensor { return p.Tensor("", kernels.Float32, 2, 14, 14, c) }
	for _, stride := range []int{1, 2} {
		dy := p.Tensor("", kernels.Float32, 2, 14/stride, 14/stride, 64)
		p.inputs = append(p.inputs, dy)
		dx := image(p.w.Dim(-1))
		ops, results = append(ops, kernels.ConvBackwardInput{DY: dy, W: p.w, DX: dx, Stride: stride, Pad: 1}), append(results, dx)
	}
	a := p.Tensor("", kernels.Float32, 64, p.w.Len()/64)
	p.inputs = append(p.inputs, a)
	for _, w := range []kernels.Tensor{p.w.Reshape(64, p.w.Len()/64), p.w.Reshape(p.w.Len()/64, 64)} {
		factor := a
		if w.Dim(1) == 64 {
			factor = a.Reshape(p.w.Len()/64, 64)
		}
		c := p.Tensor("", kernels.Float32, factor.Dim(0), w.Dim(0))
		ops, results = append(ops, kernels.GEMM{A: factor, B: w, C: c, TransB: true}), append(results, c)
		if mixed {
			c = p.Tensor("", kernels.Float32, c.Shape...)
			ops = append(ops, kernels.GEMM{A: factor, B: w, C: c, TransB: true, Precision: kernels.Mixed})
			results = append(results, c)
		}
	}
	return ops, results
}

// Weights that are prepared once follow every change: by the host, also of a part,
// and by another section. Two shapes of one tensor are two forms.
func TestWeightsFollowChanges(t *testing.T) {
	for _, channels := range []int{3, 32} { // direct, Winograd
		p := newTrained(2, 14, 14, channels, 64, 3, 1, 2, true)
		ops, results := keptOps(p, kernels.CheckPrecision(open(t, "", 2), kernels.Mixed) == nil)
		p.Section("joined").Add(ops...)
		results = append(results, p.joined)
		for i, op := range ops {
			p.Section(fmt.Sprint("alone", i)).Add(op)
		}
		program := p.compile(t, open(t, "", 2))
		check := func(change string) {
			t.Helper()
			w := make([]byte, p.w.Bytes())
			if err := program.Read(p.w, w); err != nil {
				t.Fatal(err)
			}
			for i, of := range results {
				section := fmt.Sprint("alone", i)
				if i == len(ops) {
					section = "joined"
				}
				fresh := p.compile(t, open(t, "", 2))
				if err := fresh.Write(p.w, w); err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(result(t, program, "joined", of), result(t, fresh, section, of)) {
					t.Errorf("%d channels, result %d: the op does not see weights %s", channels, i, change)
				}
			}
		}
		check("as they were at first")
		check("that did not change")
		if err := program.Write(p.w, random(p.w, 100, 0)); err != nil {
			t.Fatal(err)
		}
		check("that were written")
		row := kernels.Tensor{Buffer: p.w.Buffer, Offset: 64, Shape: []int{5}}
		if err := program.Write(row, random(row, 101, 0)); err != nil {
			t.Fatal(err)
		}
		check("of which a part was written")
		if err := program.Run("train", 1); err != nil {
			t.Fatal(err)
		}
		check("that another section wrote")
	}
}
