package kerneltest

import (
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// randomFLOPs is the most work of a random case: the reference is slow.
const randomFLOPs = 1 << 17

// RandomKinds lists the kinds of ops that have random cases: all.
func RandomKinds() []string { return slices.Sorted(maps.Keys(randomCases)) }

// RandomCase returns case i of the random cases of a kind of op: a small shape, often
// just beside a multiple of 8 where vector code has its edges, and data by its name. The
// same arguments give the same case.
func RandomCase(kind string, seed uint64, i int) Case {
	h := fnv.New64a()
	fmt.Fprint(h, kind, i)
	r := shaper{rand.New(rand.NewPCG(seed, h.Sum64()))}
	for {
		c := randomCases[kind](r)
		if op := c.Trial().Op; op.Check() == nil && op.FLOPs() <= randomFLOPs {
			return c
		}
	}
}

// CheckAll runs one case on several backends. The error names the case and each backend
// that is wrong; cases of a precision that a backend lacks are left out there.
func CheckAll(reference kernels.Backend, backends []kernels.Backend, c Case) error {
	suite, trial := NewSuite(reference), c.Trial()
	for _, b := range backends {
		if kernels.CheckPrecision(b, kernels.PrecisionOf(trial.Op)) != nil {
			continue
		}
		if _, err := suite.check(b, c, trial); err != nil {
			return fmt.Errorf("%s %v on %s: %w", trial.Op.Kind(), c, b.Name(), err)
		}
	}
	return nil
}

// shaper makes random shapes and settings.
type shaper struct{ *rand.Rand }

// dim returns an extent from 1 to most.
func (r shaper) dim(most int) int {
	d := 1 + r.IntN(most)
	switch r.IntN(4) {
	case 0:
		d = 1 + r.IntN(3)
	case 1:
		d = 8*(1+r.IntN(max(1, most/8))) + r.IntN(3) - 1
	}
	return min(d, most)
}

func (r shaper) coin() bool { return r.IntN(2) == 0 }

// oneOf returns one of the values.
func oneOf[T any](r shaper, values ...T) T { return values[r.IntN(len(values))] }

// shape returns the shape of an activation or a matrix.
func (r shaper) shape() []int {
	if r.coin() {
		return []int{r.dim(70), r.dim(70)}
	}
	return []int{r.dim(4), r.dim(9), r.dim(9), r.dim(40)}
}

func (r shaper) precision() kernels.Precision { return oneOf(r, kernels.FP32, kernels.Mixed) }

func (r shaper) conv() Conv {
	c := Conv{N: r.dim(5), H: r.dim(16), W: r.dim(16), I: r.dim(40), O: r.dim(40), KH: 1 + r.IntN(5), KW: 1 + r.IntN(5),
		Stride: oneOf(r, 1, 1, 2, 3), Pad: r.IntN(3), Integers: r.coin(), Precision: r.precision()}
	if r.coin() {
		c.KH = oneOf(r, 1, 3, 5) // which have algorithms of their own
		c.KW, c.Pad = c.KH, c.KH/2
	}
	return c
}

// moments returns the mean and the deviation of a batch-norm's input.
func (r shaper) moments() (mean, std float64) {
	m := oneOf(r, [2]float64{0, 1}, [2]float64{2, 1}, [2]float64{-1, 2}, [2]float64{3, .5}, [2]float64{0, 10})
	return m[0], m[1]
}

func (r shaper) batchNorm() BatchNorm {
	c := BatchNorm{Shape: r.shape(), InPlace: r.coin()}
	c.Mean, c.Std = r.moments()
	return c
}

func (r shaper) batchNormReLUPool() BatchNormReLUPool {
	c := BatchNormReLUPool{N: r.dim(5), H: r.dim(9), W: r.dim(9), C: r.dim(40), Size: 1 + r.IntN(3)}
	c.Mean, c.Std = r.moments()
	c.H, c.W = max(c.H, c.Size), max(c.W, c.Size)
	return c
}

func (r shaper) dropout() Dropout {
	return Dropout{N: r.dim(20), U: r.dim(70), P: oneOf(r, float32(0), .25, .5, .9), Layer: r.Uint32N(4), Seed: r.Uint64(), Step: r.Uint32(), InPlace: r.coin()}
}

func (r shaper) maxPool() MaxPool {
	c := MaxPool{N: r.dim(5), H: r.dim(12), W: r.dim(12), C: r.dim(40), Size: 1 + r.IntN(3), Stride: 1 + r.IntN(3)}
	c.H, c.W = max(c.H, c.Size), max(c.W, c.Size)
	return c
}

func (r shaper) avgPool() AvgPool {
	c := AvgPool{N: r.dim(5), H: r.dim(12), W: r.dim(12), C: r.dim(40), KH: 1 + r.IntN(4), KW: 1 + r.IntN(4), Stride: 1 + r.IntN(3)}
	c.H, c.W = max(c.H, c.KH), max(c.W, c.KW)
	return c
}

func (r shaper) gather() Gather {
	c := Gather{M: r.dim(20), H: r.dim(12), W: r.dim(12), C: oneOf(r, 0, 2, 3), N: r.dim(20), Cursor: r.IntN(5), Rotate: r.coin(), Seed: r.Uint64(), Epoch: r.Uint32N(9),
		Augment: kernels.Augment{Flip: oneOf(r, kernels.FlipNone, kernels.FlipRandom, kernels.FlipAlternating), Erase: oneOf(r, 0, r.Uint32())}}
	c.Entries = c.Cursor + c.N + r.IntN(3)
	if r.coin() {
		c.Crop = r.IntN(min(c.H, c.W) + 1)
	}
	return c
}

func (r shaper) adam() Adam {
	return Adam{Len: r.dim(300), WeightDecay: oneOf(r, float32(0), .01, .1), Decoupled: r.coin(), Shares: r.coin(), FirstStep: r.Uint32N(5000), Slot: r.IntN(4), Steps: 1 + r.IntN(4)}
}

func (r shaper) sgd() SGD {
	c := SGD{Len: r.dim(300), WeightDecay: oneOf(r, float32(0), .01, .1), Shares: r.coin(), NoBuffer: r.coin(), Slot: r.IntN(4), Steps: 1 + r.IntN(4)}
	if !c.NoBuffer {
		c.Momentum = oneOf(r, float32(0), .9)
		c.Nesterov = c.Momentum > 0 && r.coin()
	}
	return c
}

func (r shaper) advance() AdvanceState {
	c := AdvanceState{Batch: r.dim(300), Beta1: oneOf(r, 0, .5, .9), Beta2: oneOf(r, 0, .99, .999), Times: 1 + r.IntN(9)}
	c.Start = kernels.NewState(r.Uint64(), r.Uint32N(10000), .9, .999)
	c.Start.Cursor, c.Start.Slot, c.Start.Epoch = r.Uint32N(1000), r.Uint32N(100), r.Uint32N(10)
	return c
}

// randomCases makes a case of each kind of op. Its op may be invalid or too large.
var randomCases = map[string]func(r shaper) Case{
	"ConvForward": func(r shaper) Case {
		return ConvForward{Conv: r.conv(), Bias: r.coin(), Statistics: r.coin()}
	},
	"ConvBackwardInput":  func(r shaper) Case { return ConvBackwardInput{r.conv()} },
	"ConvBackwardWeight": func(r shaper) Case { return ConvBackwardWeight{r.conv(), r.coin()} },
	"ConvBatchNormInference": func(r shaper) Case {
		c := ConvBatchNormInference{Conv: r.conv(), Bias: r.coin(), ReLU: r.coin(), Pool: 1}
		if z := c.y(); c.ReLU && min(z[1], z[2]) > 0 {
			c.Pool = 1 + r.IntN(min(3, z[1], z[2]))
		}
		return c
	},
	"GEMM": func(r shaper) Case {
		c := GEMM{M: r.dim(70), N: r.dim(70), K: r.dim(150), TransA: r.coin(), TransB: r.coin(), Bias: r.coin(), Accumulate: r.coin(), Integers: r.coin(), Precision: r.precision()}
		c.RowSums = c.TransA && r.coin()
		return c
	},
	"BatchNormForward":           func(r shaper) Case { return BatchNormForward{r.batchNorm(), r.coin()} },
	"BatchNormInference":         func(r shaper) Case { return BatchNormInference{r.batchNorm()} },
	"BatchNormBackward":          func(r shaper) Case { return BatchNormBackward{r.batchNorm()} },
	"BatchNormReLUPoolForward":   func(r shaper) Case { return BatchNormReLUPoolForward{r.batchNormReLUPool()} },
	"BatchNormReLUPoolInference": func(r shaper) Case { return BatchNormReLUPoolInference{r.batchNormReLUPool()} },
	"BatchNormReLUPoolBackward": func(r shaper) Case {
		return BatchNormReLUPoolBackward{r.batchNormReLUPool(), r.coin(), r.coin()}
	},
	"ReLUForward":  func(r shaper) Case { return ReLUForward{r.shape(), r.coin()} },
	"ReLUBackward": func(r shaper) Case { return ReLUBackward{r.shape(), r.coin()} },
	"GELUForward":  func(r shaper) Case { return GELUForward{r.shape(), r.coin()} },
	"GELUBackward": func(r shaper) Case { return GELUBackward{r.shape(), r.coin()} },
	"SiLUForward":  func(r shaper) Case { return SiLUForward{r.shape(), r.coin()} },
	"SiLUBackward": func(r shaper) Case { return SiLUBackward{r.shape(), r.coin()} },
	"Add":          func(r shaper) Case { return Add{r.shape(), r.coin(), oneOf(r, "", "A", "B")} },
	"MaxPoolForward": func(r shaper) Case {
		return MaxPoolForward{r.maxPool(), oneOf(r, "mixed", "ties", "infinite"), r.coin()}
	},
	"MaxPoolBackward":     func(r shaper) Case { return MaxPoolBackward{r.maxPool(), r.coin()} },
	"AvgPoolForward":      func(r shaper) Case { return AvgPoolForward{r.avgPool()} },
	"AvgPoolBackward":     func(r shaper) Case { return AvgPoolBackward{r.avgPool()} },
	"DropoutForward":      func(r shaper) Case { return DropoutForward{r.dropout()} },
	"DropoutBackward":     func(r shaper) Case { return DropoutBackward{r.dropout()} },
	"ReLUDropoutForward":  func(r shaper) Case { return ReLUDropoutForward{r.dropout()} },
	"ReLUDropoutBackward": func(r shaper) Case { return ReLUDropoutBackward{r.dropout()} },
	"SoftmaxCrossEntropy": func(r shaper) Case {
		return SoftmaxCrossEntropy{N: r.dim(70), C: r.dim(40), Values: oneOf(r, "normal", "large", "ties"), Smoothing: oneOf(r, float32(0), .1),
			Slot: r.IntN(5), Cursor: r.IntN(5), DLogits: r.coin(), Probs: r.coin(), Losses: r.coin()}
	},
	"Adam":          func(r shaper) Case { return r.adam() },
	"SGD":           func(r shaper) Case { return r.sgd() },
	"MuonMomentum":  func(r shaper) Case { return MuonMomentum{r.dim(300), oneOf(r, 0, .5, .95)} },
	"MuonNormalize": func(r shaper) Case { return MuonNormalize{r.dim(70), r.coin()} },
	"NewtonSchulz":  func(r shaper) Case { return NewtonSchulz{r.dim(70)} },
	"MuonStep": func(r shaper) Case {
		return MuonStep{Len: r.dim(300), WeightDecay: oneOf(r, float32(0), .01, .1), Slot: r.IntN(4), Steps: 1 + r.IntN(4)}
	},
	"EMA": func(r shaper) Case {
		return EMA{Len: r.dim(300), Decay: oneOf(r, 0, .5, .999, .99999), FirstStep: r.Uint32N(10000), Steps: 1 + r.IntN(4)}
	},
	"AdvanceState": func(r shaper) Case { return r.advance() },
	"Gather":       func(r shaper) Case { return r.gather() },
	"ColumnSum":    func(r shaper) Case { return ColumnSum{r.dim(200), r.dim(70), r.coin()} },
	"Fill":         func(r shaper) Case { return Fill{r.dim(300), float32(r.NormFloat64())} },
}
