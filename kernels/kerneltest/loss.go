package kerneltest

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// SoftmaxCrossEntropy is a case of [kernels.SoftmaxCrossEntropy].
type SoftmaxCrossEntropy struct {
	N, C      int
	Values    string // "normal", "large" (±10⁴) or "ties" (few distinct logits)
	Smoothing float32
	Slot      int // of slot+3
	Cursor    int
	DLogits   bool
	Probs     bool
	Losses    bool // each sample's
}

// String describes the case.
func (c SoftmaxCrossEntropy) String() string {
	s := fmt.Sprintf("%dx%d_%s_smoothing%v_slot%d_cursor%d", c.N, c.C, c.Values, c.Smoothing, c.Slot, c.Cursor)
	if c.DLogits {
		s += "_dlogits"
	}
	if c.Probs {
		s += "_probs"
	}
	if c.Losses {
		s += "_losses"
	}
	return s
}

func (c SoftmaxCrossEntropy) values() fill {
	switch c.Values {
	case "large":
		return uniform(-1e4, 1e4)
	case "ties":
		return func(r *rand.Rand, _ int) float32 { return float32(r.IntN(3)) }
	}
	return normal(0, 3)
}

// Trial implements [Case].
func (c SoftmaxCrossEntropy) Trial() *Trial {
	t := newTrial()
	op := kernels.SoftmaxCrossEntropy{Smoothing: c.Smoothing}
	op.Logits = t.floats("Logits", c.values(), c.N, c.C)
	op.Labels = t.words("Labels", func(r *rand.Rand, _ int) uint32 { return r.Uint32N(uint32(c.C)) }, c.N)
	op.State = t.state(kernels.State{Slot: uint32(c.Slot), Cursor: uint32(c.Cursor), Step: 77})
	op.Loss = t.floats("Loss", normal(0, 1), c.Slot+3)
	op.Correct = t.words("Correct", func(r *rand.Rand, _ int) uint32 { return r.Uint32() }, c.Slot+3)
	if c.DLogits {
		op.DLogits = t.output("DLogits", c.N, c.C)
	}
	if c.Probs {
		op.Probs = t.floats("Probs", normal(0, 1), c.Cursor+c.N+2, c.C)
	}
	if c.Losses {
		op.SampleLosses = t.floats("SampleLosses", normal(0, 1), c.Cursor+c.N+1)
	}
	return t.run(op)
}

// lossBounds: the error of Vulkan's exp is 3 + 2|x| units in the last place,
// that of its logarithm 3 units, or 2⁻²¹ = 8u near 1. With d = max − z, the
// error of e = exp(−d) is e·(6 + 4d + 2d)·u, the subtraction included. Since e·d
// is at most 1/ℯ and S, the sum of C terms, at least 1, the error of S is at
// most S·(C + 8 + 3C)·u.
func lossBounds(op kernels.SoftmaxCrossEntropy) map[string]Bound {
	n, c := op.Logits.Shape[0], op.Logits.Shape[1]
	return map[string]Bound{
		"Loss":    func(r *Results) []float64 { return boundLoss(r, n, c) },
		"DLogits": func(r *Results) []float64 { return boundDLogits(r, n, c, float64(op.Smoothing)) },
		"Probs": func(r *Results) []float64 { // 0 in the rows that are not written
			bound := make([]float64, len(r.Ref["Probs"]))
			copy(bound[int(r.In["State"][kernels.StateCursor])*c:], errorsOfProbs(r, c))
			return bound
		},
		"SampleLosses": func(r *Results) []float64 { // likewise
			losses, cursor := r.Ref["SampleLosses"], int(r.In["State"][kernels.StateCursor])
			bound := make([]float64, len(losses))
			for i := cursor; i < cursor+n; i++ {
				bound[i] = lossBound(losses[i], c, 1)
			}
			return bound
		},
	}
}

// errorsOfProbs returns the absolute error of each probability e/S; the
// division adds 5u.
func errorsOfProbs(r *Results, c int) []float64 {
	z := r.In["Logits"]
	errors := make([]float64, len(z))
	for i := range z {
		p, d := softmaxOf(z[i/c*c:][:c], i%c)
		errors[i] = p*u*(6+6*math.Min(d, 104)+4*float64(c)+8+5) + tiny
	}
	return errors
}

// boundDLogits adds the roundings of (p − q)/N: of q, of the difference and of
// the division, against p + q.
func boundDLogits(r *Results, n, c int, smoothing float64) []float64 {
	z, labels, bound := r.In["Logits"], r.In["Labels"], errorsOfProbs(r, c)
	for i := range bound {
		p, _ := softmaxOf(z[i/c*c:][:c], i%c)
		q := smoothing / float64(c)
		if i%c == int(labels[i/c]) {
			q += 1 - smoothing
		}
		bound[i] = (bound[i] + 9*u*(p+q)) / float64(n)
	}
	return bound
}

// boundLoss bounds the mean of N losses Σ_c q[c]·(d[c] + log S): the error of
// log S is the relative error of S plus 8u, and that of the differences,
// products and sums of C + N terms is (C + N + 8)·u of the loss, which has no
// negative terms.
func boundLoss(r *Results, n, c int) []float64 {
	loss, slot := r.Ref["Loss"], int(r.In["State"][kernels.StateSlot])
	bound := make([]float64, len(loss))
	bound[slot] = lossBound(loss[slot], c, n)
	return bound
}

// lossBound bounds the error of the mean of n losses.
func lossBound(mean float64, c, n int) float64 {
	return u * (4*float64(c) + 16 + float64(c+n+8)*mean)
}

// softmaxOf returns p[c] of the logits z, and how far z[c] lies below the
// maximum.
func softmaxOf(z []float64, c int) (p, below float64) {
	largest := math.Inf(-1)
	for _, v := range z {
		largest = math.Max(largest, v)
	}
	sum := 0.0
	for _, v := range z {
		sum += math.Exp(v - largest)
	}
	return math.Exp(z[c]-largest) / sum, largest - z[c]
}

func lossCases() []Case {
	var cases []Case
	shapes := [][2]int{{1, 1}, {1, 2}, {1, 10}, {7, 3}, {5, 17}, {32, 10}, {63, 10}, {64, 10}, {65, 10}, {257, 33}, {3, 1000}, {1000, 10}}
	for i, s := range shapes {
		for k, values := range []string{"normal", "large", "ties"} {
			c := SoftmaxCrossEntropy{N: s[0], C: s[1], Values: values, Smoothing: []float32{0, 0.1}[(i+k)%2]}
			c.DLogits, c.Probs, c.Losses = (i+k)%3 != 0, (i+k)%3 != 1, (i+k)%4 < 2
			if i%2 == 0 {
				c.Slot, c.Cursor = 5, 3
			}
			cases = append(cases, c)
		}
	}
	return append(cases,
		SoftmaxCrossEntropy{N: 64, C: 10, Values: "normal", DLogits: true},                                                     // a training step's
		SoftmaxCrossEntropy{N: 64, C: 10, Values: "normal", Smoothing: 0.1, Slot: 3, Cursor: 192, DLogits: true, Losses: true}, // a pruning training step's
		SoftmaxCrossEntropy{N: 64, C: 10, Values: "normal", Slot: 936, Cursor: 59904},                                          // neither
		SoftmaxCrossEntropy{N: 64, C: 10, Values: "large", Smoothing: 0.1, Slot: 1, Cursor: 64, DLogits: true, Probs: true},
	)
}
