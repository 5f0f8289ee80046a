package parity

import (
	"math"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/cpuref/oracle"
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/checkpoint"
)

// opCase is one case of ops.json, with the parameters that its op has.
type opCase struct {
	Name, Op    string
	Stride, Pad int
	Size        int
	Window      [2]int
	Smoothing   float32
	Betas       [2]float64
	Eps         float32
	WeightDecay float32 `json:"weight_decay"`
	Momentum    float32
	Nesterov    bool
	Decays      []float32
}

// The oracle agrees with PyTorch, in float64, for every op that PyTorch has.
func TestOracleAgainstPyTorch(t *testing.T) {
	var cases []opCase
	loadJSON(t, "ops.json", &cases)
	file := loadFixtures(t, "ops.safetensors")
	tests := map[string]func(*torchCase){
		"conv": torchConv, "linear": torchLinear, "batch_norm": torchBatchNorm, "relu": torchReLU, "gelu": torchGELU, "silu": torchSiLU, "residual": torchResidual, "avg_pool": torchAvgPool,
		"max_pool": torchMaxPool, "cross_entropy": torchCrossEntropy, "adam": torchAdam, "adamw": torchAdam, "sgd": torchSGD,
	}
	seen := map[string]int{}
	for _, c := range cases {
		seen[c.Op]++
		t.Run(c.Name, func(t *testing.T) {
			tests[c.Op](&torchCase{T: t, opCase: c, file: file})
		})
	}
	for op := range tests {
		if seen[op] == 0 {
			t.Errorf("ops.json has no case of %s", op)
		}
	}
}

// torchCase is a case being run on the oracle.
type torchCase struct {
	*testing.T
	opCase
	file fixtures

	plan    kernels.Plan
	data    map[int][]byte // contents of each input's buffer
	program kernels.Program
}

// has reports whether the case has the named tensor; fixture returns it.
func (c *torchCase) has(name string) bool {
	_, ok := c.file.Tensor(c.Name + "." + name)
	return ok
}

func (c *torchCase) fixture(name string) checkpoint.Tensor {
	c.Helper()
	return c.file.get(c.T, c.Name+"."+name)
}

// device returns a fixture in the device's layout: channels last if it has four
// axes, otherwise unchanged.
func (c *torchCase) device(name string) ([]float32, []int) {
	c.Helper()
	f := c.fixture(name)
	if len(f.Shape) == 4 {
		return channelsLast(f.Data, f.Shape)
	}
	return f.Data, f.Shape
}

// input adds a fixture to the plan.
func (c *torchCase) input(name string) kernels.Tensor {
	c.Helper()
	data, shape := c.device(name)
	return c.floats(name, data, shape...)
}

// output adds a tensor of a fixture's shape, to be compared with it.
func (c *torchCase) output(name string) kernels.Tensor {
	c.Helper()
	_, shape := c.device(name)
	return c.plan.Tensor(name, kernels.Float32, shape...)
}

func (c *torchCase) floats(name string, data []float32, shape ...int) kernels.Tensor {
	return c.set(c.plan.Tensor(name, kernels.Float32, shape...), kernels.AsBytes(data))
}

func (c *torchCase) words(name string, data []uint32) kernels.Tensor {
	return c.set(c.plan.Tensor(name, kernels.Uint32, len(data)), kernels.AsBytes(data))
}

func (c *torchCase) set(t kernels.Tensor, bytes []byte) kernels.Tensor {
	if c.data == nil {
		c.data = map[int][]byte{}
	}
	c.data[t.Buffer] = bytes
	return t
}

// run runs the ops on the oracle, steps times.
func (c *torchCase) run(steps int, ops ...kernels.Op) {
	c.Helper()
	c.plan.Section("ops").Add(ops...)
	program, err := oracle.New().Compile(&c.plan)
	if err != nil {
		c.Fatal(err)
	}
	for i, bytes := range c.data {
		b := c.plan.Buffers[i]
		if err := program.Write(kernels.Tensor{Buffer: i, Type: b.Type, Shape: []int{b.Len}}, bytes); err != nil {
			c.Fatal(err)
		}
	}
	if err := program.Run("ops", steps); err != nil {
		c.Fatal(err)
	}
	c.program = program
}

// want compares an output with a fixture. Both are rounded once, so a tolerance
// of 4 roundings of the largest element is ample.
func (c *torchCase) want(name string, got kernels.Tensor) {
	c.Helper()
	want, _ := c.device(name)
	c.wantWithin(name, got, want, 4*u*largest(want))
}

const u = 0x1p-24 // a rounding of float32, relative

func largest(v []float32) float64 {
	m := 0.0
	for _, x := range v {
		m = max(m, math.Abs(float64(x)))
	}
	return m
}

func (c *torchCase) wantWithin(name string, got kernels.Tensor, want []float32, tolerance float64) {
	c.Helper()
	values := c.read(got)
	if len(values) != len(want) {
		c.Fatalf("%s has %d elements, PyTorch's %d", name, len(values), len(want))
	}
	for i := range want {
		if diff := math.Abs(float64(values[i]) - float64(want[i])); !(diff <= tolerance) {
			c.Errorf("%s[%d] is %v, PyTorch has %v (± %.3g)", name, i, values[i], want[i], tolerance)
			return
		}
	}
}

func (c *torchCase) read(t kernels.Tensor) []float32 {
	c.Helper()
	values := make([]float32, t.Len())
	if err := c.program.Read(t, kernels.AsBytes(values)); err != nil {
		c.Fatal(err)
	}
	return values
}

// wantWords compares an integer output with a fixture.
func (c *torchCase) wantWords(name string, got kernels.Tensor) {
	c.Helper()
	f := c.fixture(name)
	want := f.Ints
	if len(f.Shape) == 4 {
		want, _ = channelsLast(f.Ints, f.Shape)
	}
	values := make([]uint32, got.Len())
	if err := c.program.Read(got, kernels.AsBytes(values)); err != nil {
		c.Fatal(err)
	}
	for i := range want {
		if int64(values[i]) != want[i] {
			c.Errorf("%s[%d] is %d, PyTorch has %d", name, i, values[i], want[i])
			return
		}
	}
}

func torchConv(c *torchCase) {
	x, w, dy := c.input("x"), c.input("weight"), c.input("dy")
	y, dx, dw := c.output("y"), c.output("dx"), c.output("dweight")
	var bias, db kernels.Tensor
	if c.has("bias") {
		bias, db = c.input("bias"), c.output("dbias")
		c.plan.Section("ops").Add(kernels.ColumnSum{X: dy, Y: db})
	}
	c.run(1,
		kernels.ConvForward{X: x, W: w, Bias: bias, Y: y, Stride: c.Stride, Pad: c.Pad},
		kernels.ConvBackwardInput{DY: dy, W: w, DX: dx, Stride: c.Stride, Pad: c.Pad},
		kernels.ConvBackwardWeight{X: x, DY: dy, DW: dw, Stride: c.Stride, Pad: c.Pad})
	c.want("y", y)
	c.want("dx", dx)
	c.want("dweight", dw)
	if c.has("bias") {
		c.want("dbias", db)
	}
}

func torchLinear(c *torchCase) {
	x, w, bias, dy := c.input("x"), c.input("weight"), c.input("bias"), c.input("dy")
	y, dx, dw, db := c.output("y"), c.output("dx"), c.output("dweight"), c.output("dbias")
	c.run(1,
		kernels.GEMM{A: x, B: w, Bias: bias, C: y, TransB: true},
		kernels.GEMM{A: dy, B: w, C: dx},
		kernels.GEMM{A: dy, B: x, C: dw, TransA: true},
		kernels.ColumnSum{X: dy, Y: db})
	c.want("y", y)
	c.want("dx", dx)
	c.want("dweight", dw)
	c.want("dbias", db)
}

func torchBatchNorm(c *torchCase) {
	x, gamma, beta, dy := c.input("x"), c.input("gamma"), c.input("beta"), c.input("dy")
	rm, rv := c.input("running_mean"), c.input("running_var")
	yEval, y, dx := c.output("y_eval"), c.output("y"), c.output("dx")
	dgamma, dbeta := c.output("dgamma"), c.output("dbeta")
	channels := gamma.Len()
	mean := c.plan.Tensor("mean", kernels.Float32, channels)
	invStd := c.plan.Tensor("inv_std", kernels.Float32, channels)
	c.run(1,
		kernels.BatchNormInference{X: x, Gamma: gamma, Beta: beta, RunningMean: rm, RunningVar: rv, Y: yEval, Eps: 1e-5},
		kernels.BatchNormForward{X: x, Gamma: gamma, Beta: beta, RunningMean: rm, RunningVar: rv, Mean: mean, InvStd: invStd, Y: y, Momentum: 0.1, Eps: 1e-5},
		kernels.BatchNormBackward{X: x, DY: dy, Gamma: gamma, Mean: mean, InvStd: invStd, DX: dx, DGamma: dgamma, DBeta: dbeta})
	c.want("y_eval", yEval)
	c.want("y", y)
	c.want("new_running_mean", rm)
	c.want("new_running_var", rv)
	c.want("dbeta", dbeta)
	// The backward op reads the mean and the deviation rounded to float32,
	// which moves x̂ by up to |mean|/std + |x̂| roundings; DX is a difference of
	// terms of the size of γ·dy/std.
	perStd := largest(c.read(invStd))
	roundings := 4 * u * (2 + largest(c.read(mean))*perStd)
	term := largest(c.fixture("dy").Data)
	wantDX, _ := c.device("dx")
	c.wantWithin("dx", dx, wantDX, 2*roundings*term*perStd*largest(c.fixture("gamma").Data))
	c.wantWithin("dgamma", dgamma, c.fixture("dgamma").Data, roundings*term*float64(x.Len()/channels))
}

func torchReLU(c *torchCase) {
	x, dy, y, dx := c.input("x"), c.input("dy"), c.output("y"), c.output("dx")
	c.run(1, kernels.ReLUForward{X: x, Y: y}, kernels.ReLUBackward{Y: y, DY: dy, DX: dx})
	c.want("y", y)
	c.want("dx", dx)
}

func torchGELU(c *torchCase) {
	x, dy, y, dx := c.input("x"), c.input("dy"), c.output("y"), c.output("dx")
	c.run(1, kernels.GELUForward{X: x, Y: y}, kernels.GELUBackward{X: x, DY: dy, DX: dx})
	c.want("y", y)
	c.want("dx", dx)
}

func torchSiLU(c *torchCase) {
	x, dy, y, dx := c.input("x"), c.input("dy"), c.output("y"), c.output("dx")
	c.run(1, kernels.SiLUForward{X: x, Y: y}, kernels.SiLUBackward{X: x, DY: dy, DX: dx})
	c.want("y", y)
	c.want("dx", dx)
}

func torchResidual(c *torchCase) {
	x, w, dy, y, dx := c.input("x"), c.input("weight"), c.input("dy"), c.output("y"), c.output("dx")
	body := c.plan.Tensor("body", kernels.Float32, y.Shape...)
	c.run(1, kernels.ConvForward{X: x, W: w, Y: body, Stride: c.Stride, Pad: c.Pad}, kernels.Add{A: x, B: body, Y: y, ReLU: true},
		kernels.ReLUBackward{Y: y, DY: dy, DX: dy}, kernels.ConvBackwardInput{DY: dy, W: w, DX: body, Stride: c.Stride, Pad: c.Pad},
		kernels.Add{A: dy, B: body, Y: dx})
	c.want("y", y)
	c.want("dx", dx)
}

func torchAvgPool(c *torchCase) {
	x, dy, y, dx := c.input("x"), c.input("dy"), c.output("y"), c.output("dx")
	c.run(1, kernels.AvgPoolForward{X: x, Y: y, KH: c.Window[0], KW: c.Window[1], Stride: c.Stride},
		kernels.AvgPoolBackward{DY: dy, DX: dx, KH: c.Window[0], KW: c.Window[1], Stride: c.Stride})
	c.want("y", y)
	c.want("dx", dx)
}

func torchMaxPool(c *torchCase) {
	x, dy, y, dx := c.input("x"), c.input("dy"), c.output("y"), c.output("dx")
	index := c.plan.Tensor("index", kernels.Uint32, y.Shape...)
	c.run(1, kernels.MaxPoolForward{X: x, Y: y, Index: index, Size: c.Size, Stride: c.Stride},
		kernels.MaxPoolBackward{DY: dy, Index: index, DX: dx, Size: c.Size, Stride: c.Stride})
	c.want("y", y)
	c.wantWords("index", index)
	c.want("dx", dx)
}

func torchCrossEntropy(c *torchCase) {
	labels := make([]uint32, 0, 8)
	for _, v := range c.fixture("labels").Ints {
		labels = append(labels, uint32(v))
	}
	op := kernels.SoftmaxCrossEntropy{Smoothing: c.Smoothing, Logits: c.input("logits"), Labels: c.words("labels", labels),
		State: c.words("state", kernels.State{}.Words()), Loss: c.output("loss"),
		Correct: c.plan.Tensor("correct", kernels.Uint32, 1), DLogits: c.output("dlogits"), Probs: c.output("probs")}
	c.run(1, op)
	c.want("loss", op.Loss)
	c.want("dlogits", op.DLogits)
	c.want("probs", op.Probs)
	c.wantWords("correct", op.Correct)
}

func torchAdam(c *torchCase) {
	param := c.input("param")
	n := param.Len()
	op := kernels.Adam{Param: param, Beta1: c.Betas[0], Beta2: c.Betas[1], Eps: c.Eps, WeightDecay: c.WeightDecay, Decoupled: c.Op == "adamw",
		M: c.plan.Tensor("m", kernels.Float32, n), V: c.plan.Tensor("v", kernels.Float32, n)}
	c.optimize(param, func(grad, state, rates kernels.Tensor) kernels.Op {
		op.Grad, op.State, op.LearningRates = grad, state, rates
		op.DecayShares = c.decayShares()
		return op
	})
}

// decayShares adds the weight decays of the case's groups of parameters, if it has
// several, as shares of WeightDecay.
func (c *torchCase) decayShares() kernels.Tensor {
	if len(c.Decays) == 0 {
		return kernels.Tensor{}
	}
	shares := make([]float32, len(c.Decays))
	for i, d := range c.Decays {
		shares[i] = d / c.WeightDecay
	}
	return c.floats("decay_shares", shares, len(shares))
}

func torchSGD(c *torchCase) {
	param := c.input("param")
	op := kernels.SGD{Param: param, Momentum: c.Momentum, WeightDecay: c.WeightDecay, Nesterov: c.Nesterov}
	if c.Momentum > 0 {
		op.M = c.plan.Tensor("m", kernels.Float32, param.Len())
	}
	c.optimize(param, func(grad, state, rates kernels.Tensor) kernels.Op {
		op.Grad, op.State, op.LearningRates = grad, state, rates
		op.DecayShares = c.decayShares()
		return op
	})
}

// optimize runs the case's steps, each with its own gradient and rate, and
// compares the parameters after each.
func (c *torchCase) optimize(param kernels.Tensor, op func(grad, state, rates kernels.Tensor) kernels.Op) {
	grads, after := c.fixture("grads"), c.fixture("after")
	steps, n := grads.Shape[0], grads.Shape[1]
	grad := c.floats("grad", grads.Data[:n], n)
	state := c.words("state", kernels.NewState(0, 0, c.Betas[0], c.Betas[1]).Words())
	step := op(grad, state, c.input("rates"))
	c.run(1, step, kernels.AdvanceState{State: state, Batch: 1, Beta1: c.Betas[0], Beta2: c.Betas[1]})
	c.wantWithin("after step 0", param, after.Data[:n], 4*u*largest(after.Data))
	for s := 1; s < steps; s++ {
		if err := c.program.Write(grad, kernels.AsBytes(grads.Data[s*n:(s+1)*n])); err != nil {
			c.Fatal(err)
		}
		if err := c.program.Run("ops", 1); err != nil {
			c.Fatal(err)
		}
		c.wantWithin("after later steps", param, after.Data[s*n:(s+1)*n], 4*u*float64(s+1)*largest(after.Data))
	}
}
