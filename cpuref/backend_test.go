package cpuref_test

import (
	"bytes"
	"errors"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/cpuref"
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// open returns a backend that is closed when the test ends.
func open(t testing.TB, tier string, threads int) kernels.Backend {
	t.Helper()
	b, err := cpuref.Open(cpuref.Options{Tier: tier, Threads: threads})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// Each op of the models' layers gives the same bits with 1, 2, 3 and 7 threads.
func TestThreadsDoNotChangeResults(t *testing.T) {
	for _, tier := range cpuref.Tiers() {
		eachPrecision(t, tier, func(t *testing.T, precision kernels.Precision) {
			if tier == "generic" && testing.Short() {
				t.Skip("skipped by -short: portable code takes ten seconds")
			}
			p := newStepPlan(precision)
			want := p.results(t, open(t, tier, 1))
			for _, threads := range []int{2, 3, 7} {
				got := p.results(t, open(t, tier, threads))
				for i, b := range p.Buffers {
					if !bytes.Equal(got[i], want[i]) {
						t.Errorf("%d threads: %s differs from one thread's", threads, b.Name)
					}
				}
			}
		})
	}
}

// eachPrecision runs a test in every precision that a tier ("" is the fastest)
// supports, and skips the others.
func eachPrecision(t *testing.T, tier string, test func(t *testing.T, precision kernels.Precision)) {
	t.Helper()
	for _, precision := range []kernels.Precision{kernels.FP32, kernels.Mixed} {
		t.Run(tier+"/"+precision.String(), func(t *testing.T) {
			if err := kernels.CheckPrecision(open(t, tier, 1), precision); err != nil {
				t.Skip(err)
			}
			test(t, precision)
		})
	}
}

// A run allocates nothing.
func TestRunAllocatesNothing(t *testing.T) {
	eachPrecision(t, "", func(t *testing.T, precision kernels.Precision) {
		for _, threads := range []int{1, 2} {
			program := newStepPlan(precision).compile(t, open(t, "", threads))
			allocations := testing.AllocsPerRun(5, func() {
				if err := program.Run("step", 1); err != nil {
					t.Fatal(err)
				}
			})
			if allocations != 0 {
				t.Errorf("%d threads: a run of every op allocates %v times", threads, allocations)
			}
		}
	})
}

// A tier without bfloat16 arithmetic says so.
func TestPrecisionOfTiers(t *testing.T) {
	if err := kernels.CheckPrecision(open(t, "generic", 1), kernels.Mixed); err != nil {
		t.Error(err)
	}
	for _, tier := range cpuref.Tiers() {
		if !slices.Contains([]string{"sse", "avx2", "neon"}, tier) {
			continue
		}
		err := kernels.CheckPrecision(open(t, tier, 1), kernels.Mixed)
		if lacking := (*kernels.PrecisionError)(nil); !errors.As(err, &lacking) || !strings.Contains(err.Error(), tier) {
			t.Errorf("mixed precision with tier %s: %v, want a PrecisionError with the tier's name", tier, err)
		}
	}
}

func TestCloseLeavesNoGoroutine(t *testing.T) {
	before := runtime.NumGoroutine()
	b, err := cpuref.Open(cpuref.Options{Threads: 5})
	if err != nil {
		t.Fatal(err)
	}
	if err := newStepPlan(kernels.FP32).compile(t, b).Run("step", 2); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	cpuref.CheckGoroutines(t, before)
}

// A change of the number of threads changes no result, not even of an open program, which
// keeps its threads, and leaves no goroutine. Programs can be compiled and run meanwhile.
func TestUseThreads(t *testing.T) {
	p, before := newStepPlan(kernels.FP32), runtime.NumGoroutine()
	want := p.results(t, open(t, "", 1))
	b, err := cpuref.Open(cpuref.Options{Threads: 3})
	if err != nil {
		t.Fatal(err)
	}
	use := func(threads int, name string) {
		t.Helper()
		if b.(kernels.Threader).UseThreads(threads); !strings.Contains(b.Name(), name) {
			t.Errorf("%d of 3 threads: %s, want %s", threads, b.Name(), name)
		}
	}
	old := p.compile(t, b)
	use(1, "1 thread)")
	if !slices.EqualFunc(p.run(t, old), want, bytes.Equal) {
		t.Error("an open program has other results")
	}
	var together sync.WaitGroup
	together.Go(func() {
		for _, threads := range []int{2, 1, 2} {
			b.(kernels.Threader).UseThreads(threads)
		}
	})
	if b.Name() == "" || !slices.EqualFunc(p.results(t, b), want, bytes.Equal) {
		t.Error("a program that is compiled meanwhile has other results")
	}
	together.Wait()
	use(9, "3 threads)")
	if !slices.EqualFunc(p.results(t, b), want, bytes.Equal) {
		t.Error("a new program has other results")
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	cpuref.CheckGoroutines(t, before)
}

func TestOpenErrors(t *testing.T) {
	if _, err := cpuref.Open(cpuref.Options{Tier: "sse9"}); err == nil || !strings.Contains(err.Error(), `"sse9"`) || !strings.Contains(err.Error(), "generic") {
		t.Errorf("unknown tier: %v, want an error that names it and lists the others", err)
	}
	if _, err := cpuref.Open(cpuref.Options{Threads: -1}); err == nil {
		t.Error("-1 threads: no error")
	}
}

// A plan that cannot fit is an error, not the end of the process.
func TestOutOfMemory(t *testing.T) {
	var one, sum kernels.Plan
	one.Tensor("x", kernels.Float32, 1<<61)
	for range 4 {
		sum.Tensor("y", kernels.Float32, 1<<59)
	}
	for _, p := range []*kernels.Plan{&one, &sum} {
		if _, err := open(t, "", 1).Compile(p); !errors.Is(err, kernels.ErrOutOfMemory) {
			t.Errorf("%v, want out of memory", err)
		}
	}
}

func TestTier(t *testing.T) {
	if b := open(t, "generic", 1); !strings.Contains(b.Name(), "generic, 1 thread)") {
		t.Errorf("%s: want the generic tier", b.Name())
	}
	tiers := cpuref.Tiers()
	if got := cpuref.Info(); got.Tier != tiers[len(tiers)-1] || got.Threads != cpuref.DefaultThreads() || got.Model == "" {
		t.Errorf("Info is %+v", got)
	}
}

// stepPlan has every op once, on shapes of a small network with odd extents.
type stepPlan struct {
	*kernels.Plan
	state kernels.Tensor
	order kernels.Tensor
}

// newStepPlan writes the plan's section "step", with products in the given precision.
func newStepPlan(precision kernels.Precision) stepPlan {
	const n, classes = 21, 10
	p := &kernels.Plan{}
	f := func(name string, shape ...int) kernels.Tensor { return p.Tensor(name, kernels.Float32, shape...) }
	u := func(name string, shape ...int) kernels.Tensor { return p.Tensor(name, kernels.Uint32, shape...) }
	state, order := u("state", kernels.StateWords), u("order", 10*n)
	images, labels := p.Tensor("images", kernels.Uint8, 50, 28, 28, 1), p.Tensor("labels", kernels.Uint8, 50)
	x, y := f("x", n, 28, 28, 1), u("y", n)
	loss, correct, rates := f("loss", 20), u("correct", 20), f("rates", 20)

	w1, b1, c1, dw1 := f("w1", 32, 3, 3, 1), f("b1", 32), f("c1", n, 28, 28, 32), f("dw1", 32, 3, 3, 1)
	gamma, beta, mean, variance := f("gamma", 32), f("beta", 32), f("running mean", 32), f("running var", 32)
	saved, invStd, norm, inference := f("mean", 32), f("invstd", 32), f("norm", n, 28, 28, 32), f("inference", n, 28, 28, 32)
	fusedMean, fusedVar, fusedDGamma, fusedDBeta := f("fused mean", 32), f("fused var", 32), f("fused dgamma", 32), f("fused dbeta", 32)
	fusedY, fusedDX := f("fused y", n, 28, 28, 32), f("fused dx", n, 28, 28, 32)
	dgamma, dbeta, dnorm := f("dgamma", 32), f("dbeta", 32), f("dnorm", n, 28, 28, 32)
	pool, index, dpool := f("pool", n, 14, 14, 32), u("index", n, 14, 14, 32), f("dpool", n, 14, 14, 32)
	w2, c2, dw2 := f("w2", 40, 3, 3, 32), f("c2", n, 14, 14, 40), f("dw2", 40, 3, 3, 32)
	w3, logits, dlogits, dw3 := f("w3", classes, 7840), f("logits", n, classes), f("dlogits", n, classes), f("dw3", classes, 7840)
	db1, db2 := f("db1", 32), f("db2", 40)
	b3, db3, drop, dc2, sum := f("b3", classes), f("db3", classes), f("drop", n, 7840), f("dc2", n, 14, 14, 40), f("sum", 40)
	param, grad, m, v, velocity := f("param", 100_001), f("grad", 100_001), f("m", 100_001), f("v", 100_001), f("velocity", 100_001)

	w4, c4, dw4, dx4 := f("w4", 24, 3, 3, 32), f("c4", n, 7, 7, 24), f("dw4", 24, 3, 3, 32), f("dx4", n, 14, 14, 32)
	one, dOne := f("one", 1, 7, 7, 24), f("gradient of one", 1, 14, 14, 32)
	w5, c5, dw5, dx5 := f("w5", 32, 3, 3, 24), f("c5", n, 7, 7, 32), f("dw5", 32, 3, 3, 24), f("dx5", n, 7, 7, 24)
	gram, terms, q, length := f("gram", 300, 300), f("terms", 300, 300), f("q", 300, 300), f("length", 1)
	activated, dactivated := f("activated", n, 14, 14, 32), f("dactivated", n, 14, 14, 32)
	residual, averages := f("residual", n, 28, 28, 32), f("averages", n, 1, 1, 32)

	p.Section("step").Add(
		kernels.Gather{Images: images, Labels: labels, Order: order, State: state, Table: f("table", 1, 256), X: x, Y: y},
		kernels.ConvForward{X: x, W: w1, Bias: b1, Y: c1, Stride: 1, Pad: 1, Precision: precision},
		kernels.BatchNormForward{X: c1, Gamma: gamma, Beta: beta, RunningMean: mean, RunningVar: variance, Mean: saved, InvStd: invStd, Y: norm, Momentum: .1, Eps: 1e-5},
		kernels.ConvForward{X: x, W: w1, Bias: b1, Y: c1, Mean: fusedMean, Var: fusedVar, Stride: 1, Pad: 1, Precision: precision},
		kernels.BatchNormReLUPoolForward{X: c1, Mean: fusedMean, Var: fusedVar, Gamma: gamma, Beta: beta, RunningMean: mean, RunningVar: variance, InvStd: invStd, Y: pool, Index: index, Size: 2, Momentum: .1, Eps: 1e-5},
		kernels.BatchNormReLUPoolBackward{X: c1, Y: pool, DY: pool, Index: index, Gamma: gamma, Mean: fusedMean, InvStd: invStd, DX: fusedDX, DGamma: fusedDGamma, DBeta: fusedDBeta, Size: 2},
		kernels.BatchNormReLUPoolForward{X: c1, Mean: fusedMean, Var: fusedVar, Gamma: gamma, Beta: beta, RunningMean: mean, RunningVar: variance, InvStd: invStd, Y: fusedY, Size: 1, Momentum: .1, Eps: 1e-5},
		kernels.BatchNormReLUPoolInference{X: c1, Gamma: gamma, Beta: beta, RunningMean: mean, RunningVar: variance, Y: pool, Size: 2, Eps: 1e-5},
		kernels.BatchNormReLUPoolBackward{X: c1, Y: fusedY, DY: norm, Gamma: gamma, Mean: fusedMean, InvStd: invStd, DX: fusedDX, DGamma: fusedDGamma, DBeta: fusedDBeta, Size: 1},
		kernels.BatchNormInference{X: c1, Gamma: gamma, Beta: beta, RunningMean: mean, RunningVar: variance, Y: inference, Eps: 1e-5},
		kernels.ReLUForward{X: norm, Y: norm},
		kernels.GELUForward{X: pool, Y: activated}, kernels.GELUBackward{X: pool, DY: activated, DX: dactivated},
		kernels.SiLUForward{X: pool, Y: activated}, kernels.SiLUBackward{X: pool, DY: activated, DX: dactivated},
		kernels.Add{A: norm, B: c1, Y: residual, ReLU: true},
		kernels.AvgPoolForward{X: norm, Y: averages, KH: 28, KW: 28, Stride: 1}, kernels.AvgPoolBackward{DY: averages, DX: residual, KH: 28, KW: 28, Stride: 1},
		kernels.MaxPoolForward{X: norm, Y: pool, Index: index, Size: 2, Stride: 2},
		kernels.ConvForward{X: pool, W: w2, Y: c2, Stride: 1, Pad: 1, Precision: precision},
		kernels.ConvForward{X: pool, W: w4, Y: c4, Stride: 2, Pad: 1, Precision: precision},
		kernels.ConvBackwardInput{DY: c4, W: w4, DX: dx4, Stride: 2, Pad: 1, Precision: precision},
		kernels.ConvBackwardWeight{X: pool, DY: c4, DW: dw4, Stride: 2, Pad: 1, Precision: precision},
		kernels.ConvForward{X: pool.First(1), W: w4, Y: one, Stride: 2, Pad: 1, Precision: precision},
		kernels.ConvBackwardInput{DY: one, W: w4, DX: dOne, Stride: 2, Pad: 1, Precision: precision},
		kernels.ConvForward{X: c4, W: w5, Y: c5, Stride: 1, Pad: 1, Precision: precision},
		kernels.ConvBackwardInput{DY: c5, W: w5, DX: dx5, Stride: 1, Pad: 1, Precision: precision},
		kernels.ConvBackwardWeight{X: c4, DY: c5, DW: dw5, Stride: 1, Pad: 1, Precision: precision},
		kernels.DropoutForward{X: c2.Reshape(n, 7840), State: state, Y: drop, P: .25},
		kernels.GEMM{A: drop, B: w3, Bias: b3, C: logits, TransB: true, Precision: precision},
		kernels.SoftmaxCrossEntropy{Logits: logits, Labels: y, State: state, Loss: loss, Correct: correct, DLogits: dlogits},
		kernels.GEMM{A: dlogits, B: drop, C: dw3, RowSums: db3, TransA: true, Precision: precision},
		kernels.GEMM{A: dlogits, B: w3, C: dc2.Reshape(n, 7840), Precision: precision},
		kernels.DropoutBackward{DY: dc2.Reshape(n, 7840), State: state, DX: dc2.Reshape(n, 7840), P: .25},
		kernels.ReLUDropoutForward{X: c2.Reshape(n, 7840), State: state, Y: c2.Reshape(n, 7840), P: .25},
		kernels.ReLUDropoutBackward{Y: c2.Reshape(n, 7840), DY: dc2.Reshape(n, 7840), DX: dc2.Reshape(n, 7840), P: .25},
		kernels.ColumnSum{X: dc2, Y: sum},
		kernels.ConvBackwardWeight{X: pool, DY: dc2, DW: dw2, DBias: db2, Stride: 1, Pad: 1, Precision: precision},
		kernels.ConvBackwardInput{DY: dc2, W: w2, DX: dpool, Stride: 1, Pad: 1, Precision: precision},
		kernels.MaxPoolBackward{DY: dpool, Index: index, DX: dnorm, Size: 2, Stride: 2},
		kernels.ReLUBackward{Y: norm, DY: dnorm, DX: dnorm},
		kernels.BatchNormBackward{X: c1, DY: dnorm, Gamma: gamma, Mean: saved, InvStd: invStd, DX: dnorm, DGamma: dgamma, DBeta: dbeta},
		kernels.ConvBackwardWeight{X: x, DY: dnorm, DW: dw1, DBias: db1, Stride: 1, Pad: 1, Precision: precision},
		kernels.Adam{Param: param, Grad: grad, M: m, V: v, State: state, LearningRates: rates, Beta1: .9, Beta2: .999, Eps: 1e-8},
		kernels.SGD{Param: param, Grad: grad, M: velocity, State: state, LearningRates: rates, Momentum: .9},
		kernels.EMA{Param: param, Average: f("average", 100_001), State: state, Decay: .9},
		kernels.MuonMomentum{Grad: grad, M: velocity, Momentum: .95},
		kernels.MuonNormalize{Gram: gram, A: f("normalized", 300, 300), Norm: length}, kernels.NewtonSchulz{A: gram, P: terms, Q: q},
		kernels.MuonStep{Param: param, Direction: grad, Norm: length, State: state, LearningRates: rates, Scale: 5, WeightDecay: .01},
		kernels.Fill{X: f("fill", 50_000), Value: 3},
		kernels.AdvanceState{State: state, Batch: 0, Beta1: .9, Beta2: .999},
	)
	return stepPlan{p, state, order}
}

// compile returns the plan's program with contents in every buffer.
func (p stepPlan) compile(t *testing.T, b kernels.Backend) kernels.Program {
	t.Helper()
	program, err := b.Compile(p.Plan)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { program.Close() })
	random := [4]uint32{}
	for i, buffer := range p.Buffers {
		whole := kernels.Tensor{Buffer: i, Type: buffer.Type, Shape: []int{buffer.Len}}
		content := make([]byte, whole.Bytes())
		switch buffer.Type {
		case kernels.Float32:
			values := make([]float32, buffer.Len)
			for j := range values {
				random[0]++
				values[j] = float32(kernels.Philox4x32(random, [2]uint32{})[0]>>8) / (1 << 24)
				if buffer.Name != "running var" && buffer.Name != "v" { // those are not negative
					values[j] -= .4
				}
			}
			copy(content, kernels.AsBytes(values))
		case kernels.Uint8:
			for j := range content {
				content[j] = byte(j * 7 % 10)
			}
		}
		if err := program.Write(whole, content); err != nil {
			t.Fatal(err)
		}
	}
	if err := program.Write(p.state, kernels.AsBytes(kernels.NewState(42, 7, .9, .999).Words())); err != nil {
		t.Fatal(err)
	}
	return program
}

// results returns what run does, of a new program.
func (p stepPlan) results(t *testing.T, b kernels.Backend) [][]byte {
	t.Helper()
	return p.run(t, p.compile(t, b))
}

// run returns every buffer of the plan's program after two steps; all numbers must be
// finite.
func (p stepPlan) run(t *testing.T, program kernels.Program) [][]byte {
	t.Helper()
	if err := program.Run("step", 2); err != nil {
		t.Fatal(err)
	}
	var all [][]byte
	for i, buffer := range p.Buffers {
		whole := kernels.Tensor{Buffer: i, Type: buffer.Type, Shape: []int{buffer.Len}}
		content := make([]byte, whole.Bytes())
		if err := program.Read(whole, content); err != nil {
			t.Fatal(err)
		}
		if buffer.Type == kernels.Float32 {
			values := make([]float32, buffer.Len)
			copy(kernels.AsBytes(values), content)
			for j, v := range values {
				if !(math.Abs(float64(v)) <= math.MaxFloat32) {
					t.Fatalf("%s[%d] is %v", buffer.Name, j, v)
				}
			}
		}
		all = append(all, content)
	}
	return all
}
