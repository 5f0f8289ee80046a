package oracle

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// Each op on numbers small enough to work out by hand.

func TestConvByHand(t *testing.T) {
	b := newBench(t)
	// One 2×2 image of two channels, one 2×2 kernel, pad 1, stride 2: the four
	// windows each see one pixel, through the kernel's opposite corner.
	x := b.f32([]float32{1, 2, 3, 4, 5, 6, 7, 8}, 1, 2, 2, 2)
	w := b.f32([]float32{1, 10, 2, 20, 3, 30, 4, 40}, 1, 2, 2, 2)
	bias := b.f32([]float32{0.5}, 1)
	dy := b.f32([]float32{1, 2, 3, 4}, 1, 2, 2, 1)
	y, dx, dw := b.f32(nil, 1, 2, 2, 1), b.f32(nil, 1, 2, 2, 2), b.f32(nil, 1, 2, 2, 2)
	mean, variance, dbias := b.f32(nil, 1), b.f32(nil, 1), b.f32(nil, 1)
	b.run(kernels.ConvForward{X: x, W: w, Bias: bias, Y: y, Mean: mean, Var: variance, Stride: 2, Pad: 1},
		kernels.ConvBackwardInput{DY: dy, W: w, DX: dx, Stride: 2, Pad: 1},
		kernels.ConvBackwardWeight{X: x, DY: dy, DW: dw, DBias: dbias, Stride: 2, Pad: 1})
	b.want("Y", y, 1*4+2*40+0.5, 3*3+4*30+0.5, 5*2+6*20+0.5, 7*1+8*10+0.5)
	b.want("Mean", mean, 107.5+0.5) // of 84, 129, 130, 87, and the bias
	b.want("Var", variance, (23.5*23.5+21.5*21.5+22.5*22.5+20.5*20.5)/4)
	b.want("DBias", dbias, 1+2+3+4)
	b.want("DX", dx, 1*4, 1*40, 2*3, 2*30, 3*2, 3*20, 4*1, 4*10)
	b.want("DW", dw, 4*7, 4*8, 3*5, 3*6, 2*3, 2*4, 1*1, 1*2)
}

// A 1×3 kernel with stride 1 over a row: every output is a sum of neighbours.
func TestConvSlidesByHand(t *testing.T) {
	b := newBench(t)
	x, w := b.f32([]float32{1, 2, 3, 4}, 1, 1, 4, 1), b.f32([]float32{1, 10, 100}, 1, 1, 3, 1)
	dy := b.f32([]float32{1, 1000}, 1, 1, 2, 1)
	y, dx, dw := b.f32(nil, 1, 1, 2, 1), b.f32(nil, 1, 1, 4, 1), b.f32(nil, 1, 1, 3, 1)
	b.run(kernels.ConvForward{X: x, W: w, Y: y, Stride: 1},
		kernels.ConvBackwardInput{DY: dy, W: w, DX: dx, Stride: 1},
		kernels.ConvBackwardWeight{X: x, DY: dy, DW: dw, Stride: 1})
	b.want("Y", y, 321, 432)
	b.want("DX", dx, 1, 1010, 10100, 100000)
	b.want("DW", dw, 2001, 3002, 4003)
}

func TestGEMMByHand(t *testing.T) {
	a, bT := []float32{1, 2, 3, 4, 5, 6}, []float32{1, 10, 100, 2, 20, 200} // (2, 3), and (2, 3) as (3, 2) transposed
	b := newBench(t)
	c, d, e := b.f32(nil, 2, 2), b.f32([]float32{1000, 2000, 3000, 4000}, 2, 2), b.f32(nil, 3, 3)
	b.run(
		kernels.GEMM{A: b.f32(a, 2, 3), B: b.f32(bT, 2, 3), C: c, TransB: true},
		kernels.GEMM{A: b.f32(a, 2, 3), B: b.f32(bT, 2, 3), C: d, TransB: true, Accumulate: true, Bias: b.f32([]float32{0.5, 0.25}, 2)},
		kernels.GEMM{A: b.f32(a, 2, 3), B: b.f32(bT, 2, 3), C: e, TransA: true})
	b.want("A·Bᵀ", c, 321, 642, 654, 1308)
	b.want("C + A·Bᵀ + bias", d, 1321.5, 2642.25, 3654.5, 5308.25)
	b.want("Aᵀ·B", e, 9, 90, 900, 12, 120, 1200, 15, 150, 1500)
}

func TestBatchNormByHand(t *testing.T) {
	b := newBench(t)
	// Two rows: mean 3 and 10, variance 4 and 0; ε makes them 4.5 and 0.5.
	op := kernels.BatchNormForward{X: b.f32([]float32{1, 10, 5, 10}, 2, 2), Gamma: b.f32([]float32{2, 1}, 2),
		Beta: b.f32([]float32{7, -1}, 2), RunningMean: b.f32([]float32{1, 2}, 2), RunningVar: b.f32([]float32{4, 8}, 2),
		Mean: b.f32(nil, 2), InvStd: b.f32(nil, 2), Y: b.f32(nil, 2, 2), Momentum: 0.25, Eps: 0.5}
	eval := kernels.BatchNormInference{X: op.X, Gamma: op.Gamma, Beta: op.Beta,
		RunningMean: b.f32([]float32{2, 7}, 2), RunningVar: b.f32([]float32{3.5, 8.5}, 2), Y: b.f32(nil, 2, 2), Eps: 0.5}
	b.run(op, eval)
	s := math.Sqrt(4.5)
	b.want("Mean", op.Mean, 3, 10)
	b.want("InvStd", op.InvStd, 1/s, math.Sqrt2)
	b.want("Y", op.Y, -2/s*2+7, -1, 2/s*2+7, -1)
	b.want("RunningMean", op.RunningMean, 0.75*1+0.25*3, 0.75*2+0.25*10)
	b.want("RunningVar", op.RunningVar, 0.75*4+0.25*4*2, 0.75*8) // unbiased: R/(R−1) = 2
	b.want("inference", eval.Y, (1-2)/2.0*2+7, (10-7)/3.0-1, (5-2)/2.0*2+7, (10-7)/3.0-1)
}

// The statistics of the preceding op replace those of X.
func TestBatchNormOfGivenStatisticsByHand(t *testing.T) {
	b := newBench(t)
	op := kernels.BatchNormForward{X: b.f32([]float32{1, 5}, 2, 1), Gamma: b.f32([]float32{2}, 1), Beta: b.f32([]float32{7}, 1),
		RunningMean: b.f32([]float32{1}, 1), RunningVar: b.f32([]float32{4}, 1), Mean: b.f32([]float32{2}, 1), Var: b.f32([]float32{3.5}, 1),
		InvStd: b.f32(nil, 1), Y: b.f32(nil, 2, 1), Momentum: 0.25, Eps: 0.5}
	b.run(op)
	b.want("Y", op.Y, (1-2)/2.0*2+7, (5-2)/2.0*2+7)
	b.want("Mean", op.Mean, 2)
	b.want("RunningMean", op.RunningMean, 0.75*1+0.25*2)
	b.want("RunningVar", op.RunningVar, 0.75*4+0.25*3.5*2)
}

// One row has no unbiased variance; the factor is omitted.
func TestBatchNormOfOneRowByHand(t *testing.T) {
	b := newBench(t)
	op := kernels.BatchNormForward{X: b.f32([]float32{5}, 1, 1), Gamma: b.f32([]float32{2}, 1), Beta: b.f32([]float32{3}, 1),
		RunningMean: b.f32([]float32{0}, 1), RunningVar: b.f32([]float32{1}, 1),
		Mean: b.f32(nil, 1), InvStd: b.f32(nil, 1), Y: b.f32(nil, 1, 1), Momentum: 0.5, Eps: 0.25}
	b.run(op)
	b.want("Y", op.Y, 3)
	b.want("InvStd", op.InvStd, 2)
	b.want("RunningVar", op.RunningVar, 0.5)
}

func TestBatchNormBackwardByHand(t *testing.T) {
	b := newBench(t)
	// x̂ = −2, 0, 2 (mean 3, 1/std 1): ΣDY = 9, ΣDY·x̂ = 4.
	op := kernels.BatchNormBackward{X: b.f32([]float32{1, 3, 5}, 3, 1), DY: b.f32([]float32{2, 3, 4}, 3, 1),
		Gamma: b.f32([]float32{3}, 1), Mean: b.f32([]float32{3}, 1), InvStd: b.f32([]float32{1}, 1),
		DX: b.f32(nil, 3, 1), DGamma: b.f32(nil, 1), DBeta: b.f32(nil, 1)}
	b.run(op)
	b.want("DBeta", op.DBeta, 9)
	b.want("DGamma", op.DGamma, 4)
	b.want("DX", op.DX, 3*(2-3+2*4/3.0), 0, 3*(4-3-2*4/3.0))
}

func TestReLUByHand(t *testing.T) {
	b := newBench(t)
	x, y := b.f32([]float32{-1, 0, 2, float32(math.Inf(1))}, 4), b.f32(nil, 4)
	dy, dx := b.f32([]float32{5, 6, 7, 8}, 4), b.f32(nil, 4)
	b.run(kernels.ReLUForward{X: x, Y: y}, kernels.ReLUBackward{Y: y, DY: dy, DX: dx})
	if got := b.read(y); got[0] != 0 || got[1] != 0 || got[2] != 2 || !math.IsInf(float64(got[3]), 1) {
		t.Errorf("Y is %v, want [0 0 2 +Inf]", got)
	}
	b.want("DX", dx, 0, 0, 7, 8)
}

func TestMaxPoolByHand(t *testing.T) {
	nan := float32(math.NaN())
	b := newBench(t)
	x := b.f32([]float32{
		1, 4, 3, 3, 9,
		4, 2, 3, nan, 9,
	}, 1, 2, 5, 1) // the last column does not fill a window
	y, index := b.f32(nil, 1, 1, 2, 1), b.u32(nil, 1, 1, 2, 1)
	dy, dx := b.f32([]float32{5, 6}, 1, 1, 2, 1), b.f32(nil, 1, 2, 5, 1)
	b.run(kernels.MaxPoolForward{X: x, Y: y, Index: index, Size: 2, Stride: 2},
		kernels.MaxPoolBackward{DY: dy, Index: index, DX: dx, Size: 2, Stride: 2})
	b.want("Y", y, 4, math.NaN())
	b.wantWords("Index", index, 1, 3) // the first of two 4s; the NaN
	b.want("DX", dx, 0, 5, 0, 0, 0, 0, 0, 0, 6, 0)
}

// The gradients of overlapping windows add up.
func TestMaxPoolOverlapByHand(t *testing.T) {
	b := newBench(t)
	x := b.f32([]float32{0, 0, 0, 0, 9, 0, 0, 0, 0}, 1, 3, 3, 1)
	y, index := b.f32(nil, 1, 2, 2, 1), b.u32(nil, 1, 2, 2, 1)
	dy, dx := b.f32([]float32{1, 2, 3, 4}, 1, 2, 2, 1), b.f32(nil, 1, 3, 3, 1)
	b.run(kernels.MaxPoolForward{X: x, Y: y, Index: index, Size: 2, Stride: 1},
		kernels.MaxPoolBackward{DY: dy, Index: index, DX: dx, Size: 2, Stride: 1})
	b.wantWords("Index", index, 3, 2, 1, 0)
	b.want("DX", dx, 0, 0, 0, 0, 10, 0, 0, 0, 0)
}

// Units whose Philox word is below the threshold, about P of all, are dropped;
// the others are scaled. Forward and backward agree.
func TestDropoutMask(t *testing.T) {
	const n, units, p = 50, 1001, 0.25
	ones := make([]float32, n*units)
	for i := range ones {
		ones[i] = 3
	}
	b := newBench(t)
	x, y, dx, kept := b.f32(ones, n, units), b.f32(nil, n, units), b.f32(nil, n, units), b.f32(nil, n, units)
	state := b.state(kernels.State{Seed: 5<<32 | 6, Step: 7})
	b.run(kernels.DropoutForward{X: x, State: state, Y: y, P: p, Layer: 2},
		kernels.DropoutBackward{DY: x, State: state, DX: dx, P: p, Layer: 2},
		kernels.DropoutForward{X: x, State: state, Y: kept, P: 0, Layer: 2})
	gotY, gotDX, gotKept := b.read(y), b.read(dx), b.read(kept)
	dropped := 0
	for i := range ones {
		sample, unit := uint32(i/units), uint32(i%units)
		word := kernels.Philox4x32([4]uint32{unit / 4, sample, 7, 1 + 2}, [2]uint32{6, 5})[unit%4]
		want := float32(4) // 3 / (1 − ¼)
		if word < 1<<30 {  // ¼ of 2³²
			want = 0
			dropped++
		}
		if gotY[i] != want || gotDX[i] != want || gotKept[i] != 3 {
			t.Fatalf("element %d: forward %v, backward %v, without dropout %v; want %v, %v, 3", i, gotY[i], gotDX[i], gotKept[i], want, want)
		}
	}
	// Five standard deviations of a binomial distribution.
	if off := math.Abs(float64(dropped) - p*n*units); !(off <= 5*math.Sqrt(n*units*p*(1-p))) {
		t.Errorf("%d of %d units dropped at P = %v", dropped, n*units, p)
	}
}

func TestSoftmaxCrossEntropyByHand(t *testing.T) {
	b := newBench(t)
	// Softmax of (0, ln 3) is (¼, ¾). The second sample's classes tie: the
	// first is the prediction.
	op := kernels.SoftmaxCrossEntropy{Logits: b.f32([]float32{0, float32(math.Log(3)), 5, 5}, 2, 2),
		Labels: b.u32([]uint32{1, 1}, 2), State: b.state(kernels.State{Slot: 1, Cursor: 1}),
		Loss: b.f32([]float32{8, 8, 8}, 3), Correct: b.u32([]uint32{9, 9, 9}, 3),
		DLogits: b.f32(nil, 2, 2), Probs: b.f32(nil, 4, 2), SampleLosses: b.f32([]float32{8, 8, 8, 8}, 4)}
	b.run(op)
	b.want("Loss", op.Loss, 8, (math.Log(4.0/3)+math.Log(2))/2, 8)
	b.wantWords("Correct", op.Correct, 9, 1, 9)
	b.want("DLogits", op.DLogits, 0.125, -0.125, 0.25, -0.25)
	b.want("Probs", op.Probs, 0, 0, 0.25, 0.75, 0.5, 0.5, 0, 0)
	b.want("SampleLosses", op.SampleLosses, 8, math.Log(4.0/3), math.Log(2), 8)
}

func TestLabelSmoothingByHand(t *testing.T) {
	b := newBench(t)
	// Four equal logits: p = ¼ and the loss is ln 4 for any target; with ε = ½
	// the target is ⅝ for the label and ⅛ for the others.
	op := kernels.SoftmaxCrossEntropy{Logits: b.f32(nil, 1, 4), Labels: b.u32([]uint32{2}, 1), State: b.state(kernels.State{}),
		Loss: b.f32(nil, 1), Correct: b.u32(nil, 1), DLogits: b.f32(nil, 1, 4), Smoothing: 0.5}
	b.run(op)
	b.want("Loss", op.Loss, math.Log(4))
	b.want("DLogits", op.DLogits, 0.125, 0.125, -0.375, 0.125)
}

func TestAdamByHand(t *testing.T) {
	b := newBench(t)
	// β₁ = ½, β₂ = ¾, first step: m = g/2, v = g²/4, m̂ = g, v̂ = g². With ε = |g|
	// the step is lr/2.
	op := kernels.Adam{Param: b.f32([]float32{1, 1}, 2), Grad: b.f32([]float32{4, -4}, 2), M: b.f32(nil, 2), V: b.f32(nil, 2),
		State: b.state(kernels.State{Slot: 1, BiasCorrection1: 0.5, BiasCorrection2: 0.25}), LearningRates: b.f32([]float32{9, 0.5}, 2),
		Beta1: 0.5, Beta2: 0.75, Eps: 4}
	b.run(op)
	b.want("M", op.M, 2, -2)
	b.want("V", op.V, 4, 4)
	b.want("Param", op.Param, 0.75, 1.25)
}

func TestAdamWeightDecayByHand(t *testing.T) {
	b := newBench(t)
	// The decay ½·8 is part of the gradient: g = 4 as above.
	op := kernels.Adam{Param: b.f32([]float32{8}, 1), Grad: b.f32([]float32{0}, 1), M: b.f32(nil, 1), V: b.f32(nil, 1),
		State: b.state(kernels.State{BiasCorrection1: 0.5, BiasCorrection2: 0.25}), LearningRates: b.f32([]float32{0.5}, 1),
		Beta1: 0.5, Beta2: 0.75, Eps: 4, WeightDecay: 0.5}
	b.run(op)
	b.want("Param", op.Param, 7.75)
}

func TestAdamDecoupledByHand(t *testing.T) {
	b := newBench(t)
	// The step is 0.25 as in TestAdamByHand; of the parameters remain 1 − ½·½, but only
	// 1 − ½·½·½ in the second group.
	n := kernels.DecayGroup + 1
	op := kernels.Adam{Param: b.f32(slices.Repeat([]float32{8}, n), n), Grad: b.f32(slices.Repeat([]float32{4}, n), n), M: b.f32(nil, n), V: b.f32(nil, n),
		State: b.state(kernels.State{BiasCorrection1: 0.5, BiasCorrection2: 0.25}), LearningRates: b.f32([]float32{0.5}, 1),
		DecayShares: b.f32([]float32{1, 0.5}, 2), Beta1: 0.5, Beta2: 0.75, Eps: 4, WeightDecay: 0.5, Decoupled: true}
	b.run(op)
	want := slices.Repeat([]float64{6 - 0.25}, n)
	want[n-1] = 7 - 0.25
	b.want("Param", op.Param, want...)
}

func TestMuonByHand(t *testing.T) {
	b := newBench(t)
	momentum := kernels.MuonMomentum{Grad: b.f32([]float32{3, 0}, 2), M: b.f32([]float32{1, 8}, 2), Momentum: 0.5}
	normalize := kernels.MuonNormalize{Gram: b.f32([]float32{9, 5, -5, 16}, 2, 2), A: b.f32(nil, 2, 2), Norm: b.f32(nil, 1)}
	least := kernels.MuonNormalize{Gram: b.f32([]float32{1e-16}, 1, 1), A: b.f32(nil, 1, 1), Norm: b.f32(nil, 1)}
	terms := kernels.NewtonSchulz{A: b.f32([]float32{0, 1, 2, 0}, 2, 2), P: b.f32(nil, 2, 2), Q: b.f32(nil, 2, 2)}
	step := kernels.MuonStep{Param: b.f32([]float32{8}, 1), Direction: b.f32([]float32{3}, 1), Norm: b.f32([]float32{2}, 1),
		State: b.state(kernels.State{Slot: 1}), LearningRates: b.f32([]float32{9, 0.5}, 2), Scale: 4, WeightDecay: 0.5}
	b.run(momentum, normalize, least, terms, step)
	b.want("M", momentum.M, 2, 4)
	b.want("Grad", momentum.Grad, 2.5, 2)
	b.want("A", normalize.A, 9./25, 5./25, -5./25, 16./25)
	b.want("Norm", normalize.Norm, 5)
	b.want("A of a small matrix", least.A, 1e-2)
	b.want("the least norm", least.Norm, 1e-7)
	b.want("P", terms.P, -4.775, 2.0315, 2*2.0315, -4.775)
	b.want("Q", terms.Q, 3.4445, 0, 0, 3.4445)
	b.want("Param", step.Param, 8-0.5*0.5*8-0.5*4/2*3)
}

func TestEMAByHand(t *testing.T) {
	b := newBench(t)
	early := kernels.EMA{Param: b.f32([]float32{8, -1}, 2), Average: b.f32([]float32{4, 1}, 2), State: b.state(kernels.State{Step: 8}), Decay: 0.75}
	late := kernels.EMA{Param: b.f32([]float32{8, -1}, 2), Average: b.f32([]float32{4, 1}, 2), State: b.state(kernels.State{Step: 90}), Decay: 0.75}
	b.run(early, late)
	b.want("early", early.Average, 4+9./18*4, 1-9./18*2)
	b.want("late", late.Average, 4+0.25*4, 1-0.25*2)
}

func TestSGDByHand(t *testing.T) {
	b := newBench(t)
	state, rates := b.state(kernels.State{}), b.f32([]float32{0.5}, 1)
	grad := []float32{3}
	plain := kernels.SGD{Param: b.f32([]float32{1}, 1), Grad: b.f32(grad, 1), State: state, LearningRates: rates, WeightDecay: 2}
	heavy := kernels.SGD{Param: b.f32([]float32{1}, 1), Grad: b.f32(grad, 1), M: b.f32([]float32{8}, 1), State: state, LearningRates: rates, Momentum: 0.25}
	nesterov := heavy
	nesterov.Param, nesterov.M, nesterov.Nesterov = b.f32([]float32{1}, 1), b.f32([]float32{8}, 1), true
	b.run(plain, heavy, nesterov)
	b.want("plain", plain.Param, 1-0.5*(3+2*1))
	b.want("M", heavy.M, 0.25*8+3)
	b.want("momentum", heavy.Param, 1-0.5*5)
	b.want("Nesterov", nesterov.Param, 1-0.5*(3+0.25*5))
}

func TestGatherByHand(t *testing.T) {
	b := newBench(t)
	table := make([]float32, 256)
	for i := range table {
		table[i] = float32(i) / 2
	}
	op := kernels.Gather{Images: b.u8([]uint8{1, 2, 3, 4, 5, 255}, 3, 1, 2, 1), Labels: b.u8([]uint8{7, 8, 9}, 3),
		Order: b.u32([]uint32{0, 2, 1, 2}, 4), State: b.state(kernels.State{Cursor: 1}), Table: b.f32(table, 1, 256),
		X: b.f32(nil, 2, 1, 2, 1), Y: b.u32(nil, 2)}
	b.run(op)
	b.want("X", op.X, 2.5, 127.5, 1.5, 2)
	b.wantWords("Y", op.Y, 9, 8)
}

// Two channels, each with its own table; the second image is mirrored in whole
// pixels.
func TestGatherOfColourByHand(t *testing.T) {
	b := newBench(t)
	table := make([]float32, 512)
	for i := range table {
		table[i] = float32(i%256) + float32(i/256)*1000
	}
	op := kernels.Gather{Images: b.u8([]uint8{1, 2, 3, 4, 5, 6, 7, 8}, 2, 1, 2, 2), Labels: b.u8([]uint8{7, 8}, 2),
		Order: b.u32([]uint32{1}, 1), State: b.state(kernels.State{}), Table: b.f32(table, 2, 256),
		X: b.f32(nil, 1, 1, 2, 2), Y: b.u32(nil, 1)}
	mirrored := op
	mirrored.X, mirrored.Augment = b.f32(nil, 1, 1, 2, 2), kernels.Augment{Flip: kernels.FlipAlternating}
	mirrored.State = b.state(kernels.State{Epoch: 1 ^ kernels.Philox4x32([4]uint32{1, 0, 0, uint32(kernels.PurposeAugment + 1)}, [2]uint32{})[0]&1})
	b.run(op, mirrored)
	b.want("X", op.X, 5, 1006, 7, 1008)
	b.want("X mirrored", mirrored.X, 7, 1008, 5, 1006)
}

func TestAddByHand(t *testing.T) {
	b := newBench(t)
	op := kernels.Add{A: b.f32([]float32{1, -3, 0.5}, 3), B: b.f32([]float32{2, 1, -0.25}, 3), Y: b.f32(nil, 3)}
	relu := op
	relu.Y, relu.ReLU = b.f32(nil, 3), true
	b.run(op, relu)
	b.want("A + B", op.Y, 3, -2, 0.25)
	b.want("max(A + B, 0)", relu.Y, 3, 0, 0.25)
}

func TestAvgPoolByHand(t *testing.T) {
	b := newBench(t)
	// A 2×3 window that moves by one pixel over 2×4 pixels: each column gets its share.
	forward := kernels.AvgPoolForward{X: b.f32([]float32{1, 2, 3, 4, 10, 20, 30, 40}, 1, 2, 4, 1), Y: b.f32(nil, 1, 1, 2, 1), KH: 2, KW: 3, Stride: 1}
	backward := kernels.AvgPoolBackward{DY: b.f32([]float32{6, 60}, 1, 1, 2, 1), DX: b.f32(nil, 1, 2, 4, 1), KH: 2, KW: 3, Stride: 1}
	b.run(forward, backward)
	b.want("Y", forward.Y, 66/6., 99/6.)
	b.want("DX", backward.DX, 1, 11, 11, 10, 1, 11, 11, 10)
}

// Φ(1) = .8413447461 and φ(1) = .2419707245 are in every table.
func TestGELUByHand(t *testing.T) {
	b := newBench(t)
	x := []float32{0, 1, -1, 40, -40}
	forward := kernels.GELUForward{X: b.f32(x, 5), Y: b.f32(nil, 5)}
	backward := kernels.GELUBackward{X: forward.X, DY: b.f32([]float32{2, 1, 1, 3, 3}, 5), DX: b.f32(nil, 5)}
	b.run(forward, backward)
	b.want("Y", forward.Y, 0, .8413447461, -.1586552539, 40, 0)
	b.want("DX", backward.DX, 1, .8413447461+.2419707245, .1586552539-.2419707245, 3, 0)
}

func TestSiLUByHand(t *testing.T) {
	b := newBench(t)
	s := 1 / (1 + math.Exp(-1)) // σ(1); σ(ln 3) is 3/4
	forward := kernels.SiLUForward{X: b.f32([]float32{0, 1, -1, float32(math.Log(3)), 90, -200}, 6), Y: b.f32(nil, 6)}
	backward := kernels.SiLUBackward{X: forward.X, DY: b.f32([]float32{2, 1, 1, 4, 3, 3}, 6), DX: b.f32(nil, 6)}
	b.run(forward, backward)
	b.want("Y", forward.Y, 0, s, s-1, math.Log(3)*3/4, 90, 0)
	b.want("DX", backward.DX, 1, s*(1+(1-s)), (1-s)*(1-s), 3+3*math.Log(3)/4, 3, 0)
}

func TestReductionsByHand(t *testing.T) {
	b := newBench(t)
	// 1e8 + 1 − 1e8 is lost in float32, not in float64.
	sum := kernels.ColumnSum{X: b.f32([]float32{1e8, 1, 1, 2, -1e8, 3}, 3, 2), Y: b.f32(nil, 2)}
	fill := kernels.Fill{X: b.f32([]float32{1, 2}, 2), Value: -3}
	b.run(sum, fill)
	b.want("ColumnSum", sum.Y, 1, 6)
	b.want("Fill", fill.X, -3, -3)
}

func TestAdvanceStateByHand(t *testing.T) {
	b := newBench(t)
	state := b.state(kernels.State{Step: 1, Cursor: 64, Slot: 2, Seed: 77, BiasCorrection1: 0.5, BiasCorrection2: 0.25, Epoch: 3})
	b.run(kernels.AdvanceState{State: state, Batch: 32, Beta1: 0.5, Beta2: 0.75})
	want := kernels.State{Step: 2, Cursor: 96, Slot: 3, Seed: 77, BiasCorrection1: 0.75, BiasCorrection2: 0.4375, Epoch: 3}
	if got := kernels.ParseState(b.readWords(state)); got != want {
		t.Errorf("the state is %+v, want %+v", got, want)
	}
}

// Breaking an op's contract at run time gives an error that names the op.
func TestBrokenContents(t *testing.T) {
	label := func(b *bench) kernels.Op {
		return kernels.SoftmaxCrossEntropy{Logits: b.f32(nil, 1, 2), Labels: b.u32([]uint32{2}, 1), State: b.state(kernels.State{}),
			Loss: b.f32(nil, 1), Correct: b.u32(nil, 1)}
	}
	slot := func(b *bench) kernels.Op {
		return kernels.SGD{Param: b.f32(nil, 1), Grad: b.f32(nil, 1), State: b.state(kernels.State{Slot: 1}), LearningRates: b.f32(nil, 1)}
	}
	image := func(b *bench) kernels.Op {
		return kernels.Gather{Images: b.u8(nil, 1, 1, 1, 1), Labels: b.u8(nil, 1), Order: b.u32([]uint32{1}, 1), State: b.state(kernels.State{}),
			Table: b.f32(nil, 1, 256), X: b.f32(nil, 1, 1, 1, 1), Y: b.u32(nil, 1)}
	}
	index := func(b *bench) kernels.Op {
		return kernels.MaxPoolBackward{DY: b.f32(nil, 1, 1, 1, 1), Index: b.u32([]uint32{4}, 1, 1, 1, 1), DX: b.f32(nil, 1, 2, 2, 1), Size: 2, Stride: 2}
	}
	fusedIndex := func(b *bench) kernels.Op {
		return kernels.BatchNormReLUPoolBackward{X: b.f32(nil, 1, 2, 2, 1), Y: b.f32(nil, 1, 1, 1, 1), DY: b.f32(nil, 1, 1, 1, 1),
			Index: b.u32([]uint32{4}, 1, 1, 1, 1), Gamma: b.f32(nil, 1), Mean: b.f32(nil, 1), InvStd: b.f32(nil, 1),
			DX: b.f32(nil, 1, 2, 2, 1), DGamma: b.f32(nil, 1), DBeta: b.f32(nil, 1), Size: 2}
	}
	for want, op := range map[string]func(*bench) kernels.Op{
		"(SoftmaxCrossEntropy): label 2": label, "(SGD): slot 1": slot, "(Gather): entry 0 of Order": image, "(MaxPoolBackward): position 4": index,
		"(BatchNormReLUPoolBackward): position 4": fusedIndex,
	} {
		b := newBench(t)
		b.plan.Section("ops").Add(op(b))
		b.compile()
		if err := b.program.Run("ops", 1); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
}
