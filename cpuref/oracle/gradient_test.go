package oracle

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// gradient is a forward op (or several), one of its inputs, and the ops that
// claim to compute that input's gradient.
type gradient struct {
	name     string
	forward  []kernels.Op
	input    kernels.Tensor
	output   kernels.Tensor
	backward []kernels.Op
	dy       kernels.Tensor // gradient of output
	got      kernels.Tensor // gradient of input
}

// Every backward op is the derivative of its forward op: it agrees with the
// gradient of L = Σ DY·Y by central differences of the forward op.
func TestGradients(t *testing.T) {
	for _, build := range []func(*bench) []gradient{
		convGradients, gemmGradients, batchNormGradients, reluGradients, geluGradients, siluGradients, addGradients,
		maxPoolGradients, avgPoolGradients, dropoutGradients,
		batchNormReLUPoolGradients,
	} {
		b := newBench(t)
		cases := build(b)
		for _, g := range cases {
			b.plan.Section(g.name + "/forward").Add(g.forward...)
			b.plan.Section(g.name + "/backward").Add(g.backward...)
		}
		b.compile()
		for _, g := range cases {
			t.Run(g.name, func(t *testing.T) {
				b := *b
				b.T = t
				b.checkGradient(g)
			})
		}
	}
}

// step is the step of the differences. Their truncation error is of the order of
// step⁴ times the fifth derivative, that of float32's roundings 2⁻²⁴/step.
const step = 0x1p-5

func (b *bench) checkGradient(g gradient) {
	b.section(g.name + "/forward") // saved statistics and indices
	b.section(g.name + "/backward")
	got, x, dy := b.read(g.got), b.read(g.input), b.read(g.dy)
	objective := func() (l float64) {
		b.section(g.name + "/forward")
		for i, y := range b.read(g.output) {
			l += float64(y) * float64(dy[i])
		}
		return l
	}
	at := func(i int, delta float32) float64 {
		moved := append([]float32{}, x...)
		moved[i] += delta
		if err := b.program.Write(g.input, kernels.AsBytes(moved)); err != nil {
			b.Fatal(err)
		}
		return objective()
	}
	scale := 1.0
	for _, v := range got {
		scale = max(scale, math.Abs(float64(v)))
	}
	for i := range x {
		want := fivePoint(func(delta float32) float64 { return at(i, delta) })
		if diff := math.Abs(float64(got[i]) - want); !(diff <= 1e-4*scale) {
			b.Errorf("element %d: %v, by differences %v", i, got[i], want)
		}
	}
	if err := b.program.Write(g.input, kernels.AsBytes(x)); err != nil {
		b.Fatal(err)
	}
}

// fivePoint is the five-point central difference of f at 0.
func fivePoint(f func(float32) float64) float64 {
	return (8*(f(step)-f(-step)) - (f(2*step) - f(-2*step))) / (12 * step)
}

// random adds a tensor of normal values.
func (b *bench) random(shape ...int) kernels.Tensor {
	t := b.f32(nil, shape...)
	r := rand.New(rand.NewPCG(uint64(t.Buffer), 0))
	values := make([]float32, t.Len())
	for i := range values {
		values[i] = float32(r.NormFloat64())
	}
	b.floats[t.Buffer] = values
	return t
}

// apart adds a tensor of values that differ from each other and from 0 by 0.2,
// more than the differences move them, so that no maximum moves.
func (b *bench) apart(shape ...int) kernels.Tensor {
	t := b.f32(nil, shape...)
	r := rand.New(rand.NewPCG(uint64(t.Buffer), 0))
	values := make([]float32, t.Len())
	for i, p := range r.Perm(len(values)) {
		values[i] = 0.2*float32(p-len(values)/2) + 0.1
	}
	b.floats[t.Buffer] = values
	return t
}

func convGradients(b *bench) (cases []gradient) {
	for _, s := range []struct{ h, w, i, o, kh, kw, stride, pad int }{
		{4, 5, 2, 3, 3, 3, 1, 1}, {5, 4, 1, 2, 2, 3, 2, 1}, {5, 5, 2, 2, 1, 1, 1, 0}, {6, 7, 1, 2, 3, 2, 3, 2},
	} {
		oh, ow := kernels.ConvOutput(s.h, s.kh, s.stride, s.pad), kernels.ConvOutput(s.w, s.kw, s.stride, s.pad)
		x, w, bias := b.random(2, s.h, s.w, s.i), b.random(s.o, s.kh, s.kw, s.i), b.random(s.o)
		y, dy := b.f32(nil, 2, oh, ow, s.o), b.random(2, oh, ow, s.o)
		dx, dw, db := b.f32(nil, x.Shape...), b.f32(nil, w.Shape...), b.f32(nil, s.o)
		forward := []kernels.Op{kernels.ConvForward{X: x, W: w, Bias: bias, Y: y, Stride: s.stride, Pad: s.pad}}
		backward := []kernels.Op{kernels.ConvBackwardInput{DY: dy, W: w, DX: dx, Stride: s.stride, Pad: s.pad},
			kernels.ConvBackwardWeight{X: x, DY: dy, DW: dw, DBias: db, Stride: s.stride, Pad: s.pad}}
		name := fmt.Sprintf("conv %dx%d stride %d pad %d ", s.kh, s.kw, s.stride, s.pad)
		cases = append(cases, gradient{name + "input", forward, x, y, backward, dy, dx},
			gradient{name + "weight", forward, w, y, backward, dy, dw}, gradient{name + "bias", forward, bias, y, backward, dy, db})
	}
	return cases
}

// A fully connected layer, as the contract writes it: Y = X·Wᵀ + b, DX = DY·W,
// DW = DYᵀ·X.
func gemmGradients(b *bench) []gradient {
	x, w, bias := b.random(4, 5), b.random(3, 5), b.random(3)
	y, dy := b.f32(nil, 4, 3), b.random(4, 3)
	dx, dw, db := b.f32(nil, 4, 5), b.f32(nil, 3, 5), b.f32(nil, 3)
	forward := []kernels.Op{kernels.GEMM{A: x, B: w, Bias: bias, C: y, TransB: true}}
	backward := []kernels.Op{kernels.GEMM{A: dy, B: w, C: dx}, kernels.GEMM{A: dy, B: x, C: dw, TransA: true}, kernels.ColumnSum{X: dy, Y: db}}
	return []gradient{{"linear input", forward, x, y, backward, dy, dx}, {"linear weight", forward, w, y, backward, dy, dw},
		{"linear bias", forward, bias, y, backward, dy, db}}
}

func batchNormGradients(b *bench) []gradient {
	forward := kernels.BatchNormForward{X: b.random(3, 2, 2, 3), Gamma: b.random(3), Beta: b.random(3), RunningMean: b.f32(nil, 3),
		RunningVar: b.f32(nil, 3), Mean: b.f32(nil, 3), InvStd: b.f32(nil, 3), Y: b.f32(nil, 3, 2, 2, 3), Momentum: 0.1, Eps: 0.1}
	backward := kernels.BatchNormBackward{X: forward.X, DY: b.random(3, 2, 2, 3), Gamma: forward.Gamma, Mean: forward.Mean,
		InvStd: forward.InvStd, DX: b.f32(nil, 3, 2, 2, 3), DGamma: b.f32(nil, 3), DBeta: b.f32(nil, 3)}
	there, back := []kernels.Op{forward}, []kernels.Op{backward}
	return []gradient{{"batch-norm input", there, forward.X, forward.Y, back, backward.DY, backward.DX},
		{"batch-norm gamma", there, forward.Gamma, forward.Y, back, backward.DY, backward.DGamma},
		{"batch-norm beta", there, forward.Beta, forward.Y, back, backward.DY, backward.DBeta}}
}

func reluGradients(b *bench) []gradient {
	forward := kernels.ReLUForward{X: b.apart(5, 4), Y: b.f32(nil, 5, 4)}
	backward := kernels.ReLUBackward{Y: forward.Y, DY: b.random(5, 4), DX: b.f32(nil, 5, 4)}
	return []gradient{{"relu", []kernels.Op{forward}, forward.X, forward.Y, []kernels.Op{backward}, backward.DY, backward.DX}}
}

func geluGradients(b *bench) []gradient {
	forward := kernels.GELUForward{X: b.random(5, 4), Y: b.f32(nil, 5, 4)}
	backward := kernels.GELUBackward{X: forward.X, DY: b.random(5, 4), DX: b.f32(nil, 5, 4)}
	return []gradient{{"gelu", []kernels.Op{forward}, forward.X, forward.Y, []kernels.Op{backward}, backward.DY, backward.DX}}
}

func siluGradients(b *bench) []gradient {
	forward := kernels.SiLUForward{X: b.random(5, 4), Y: b.f32(nil, 5, 4)}
	backward := kernels.SiLUBackward{X: forward.X, DY: b.random(5, 4), DX: b.f32(nil, 5, 4)}
	return []gradient{{"silu", []kernels.Op{forward}, forward.X, forward.Y, []kernels.Op{backward}, backward.DY, backward.DX}}
}

// A residual block, y = max(x + 2·x, 0) with a convolution by 2 as its body:
// the gradient of x is the sum of both branches'.
func addGradients(b *bench) []gradient {
	x, w, body, y := b.apart(1, 3, 3, 1), b.f32([]float32{2}, 1, 1, 1, 1), b.f32(nil, 1, 3, 3, 1), b.f32(nil, 1, 3, 3, 1)
	dy, dsum, dbody, dx := b.random(1, 3, 3, 1), b.f32(nil, 1, 3, 3, 1), b.f32(nil, 1, 3, 3, 1), b.f32(nil, 1, 3, 3, 1)
	forward := []kernels.Op{kernels.ConvForward{X: x, W: w, Y: body, Stride: 1}, kernels.Add{A: x, B: body, Y: y, ReLU: true}}
	backward := []kernels.Op{kernels.ReLUBackward{Y: y, DY: dy, DX: dsum},
		kernels.ConvBackwardInput{DY: dsum, W: w, DX: dbody, Stride: 1}, kernels.Add{A: dsum, B: dbody, Y: dx}}
	return []gradient{{"add", forward, x, y, backward, dy, dx}}
}

func avgPoolGradients(b *bench) (cases []gradient) {
	for _, s := range []struct{ h, w, kh, kw, stride int }{{4, 6, 2, 2, 2}, {7, 5, 3, 2, 2}, {4, 4, 4, 4, 1}, {5, 4, 2, 3, 1}} {
		oh, ow := kernels.ConvOutput(s.h, s.kh, s.stride, 0), kernels.ConvOutput(s.w, s.kw, s.stride, 0)
		forward := kernels.AvgPoolForward{X: b.random(1, s.h, s.w, 2), Y: b.f32(nil, 1, oh, ow, 2), KH: s.kh, KW: s.kw, Stride: s.stride}
		backward := kernels.AvgPoolBackward{DY: b.random(1, oh, ow, 2), DX: b.f32(nil, 1, s.h, s.w, 2), KH: s.kh, KW: s.kw, Stride: s.stride}
		cases = append(cases, gradient{fmt.Sprintf("avg-pool %dx%d stride %d", s.kh, s.kw, s.stride), []kernels.Op{forward}, forward.X, forward.Y,
			[]kernels.Op{backward}, backward.DY, backward.DX})
	}
	return cases
}

func maxPoolGradients(b *bench) (cases []gradient) {
	for _, s := range []struct{ h, w, size, stride int }{{4, 6, 2, 2}, {7, 5, 3, 2}, {4, 4, 2, 1}} {
		oh, ow := kernels.ConvOutput(s.h, s.size, s.stride, 0), kernels.ConvOutput(s.w, s.size, s.stride, 0)
		forward := kernels.MaxPoolForward{X: b.apart(1, s.h, s.w, 2), Y: b.f32(nil, 1, oh, ow, 2), Index: b.u32(nil, 1, oh, ow, 2),
			Size: s.size, Stride: s.stride}
		backward := kernels.MaxPoolBackward{DY: b.random(1, oh, ow, 2), Index: forward.Index, DX: b.f32(nil, 1, s.h, s.w, 2),
			Size: s.size, Stride: s.stride}
		cases = append(cases, gradient{fmt.Sprintf("max-pool size %d stride %d", s.size, s.stride), []kernels.Op{forward}, forward.X, forward.Y,
			[]kernels.Op{backward}, backward.DY, backward.DX})
	}
	return cases
}

func dropoutGradients(b *bench) []gradient {
	state := b.state(kernels.State{Seed: 9, Step: 4})
	forward := kernels.DropoutForward{X: b.random(3, 7), State: state, Y: b.f32(nil, 3, 7), P: 0.5, Layer: 1}
	backward := kernels.DropoutBackward{DY: b.random(3, 7), State: state, DX: b.f32(nil, 3, 7), P: 0.5, Layer: 1}
	return []gradient{{"dropout", []kernels.Op{forward}, forward.X, forward.Y, []kernels.Op{backward}, backward.DY, backward.DX}}
}

// DLogits is the derivative of the loss, with and without label smoothing.
func TestLossGradient(t *testing.T) {
	for _, smoothing := range []float32{0, 0.1} {
		b := newBench(t)
		op := kernels.SoftmaxCrossEntropy{Logits: b.random(3, 5), Labels: b.u32([]uint32{4, 0, 2}, 3), State: b.state(kernels.State{}),
			Loss: b.f32(nil, 1), Correct: b.u32(nil, 1), DLogits: b.f32(nil, 3, 5), Smoothing: smoothing}
		b.run(op)
		got, z := b.read(op.DLogits), b.read(op.Logits)
		for i := range z {
			want := fivePoint(func(delta float32) float64 {
				moved := append([]float32{}, z...)
				moved[i] += delta
				if err := b.program.Write(op.Logits, kernels.AsBytes(moved)); err != nil {
					t.Fatal(err)
				}
				b.section("ops")
				return float64(b.read(op.Loss)[0])
			})
			if diff := math.Abs(float64(got[i]) - want); !(diff <= 2e-5) {
				t.Errorf("smoothing %v, logit %d: %v, by differences %v", smoothing, i, got[i], want)
			}
		}
	}
}
