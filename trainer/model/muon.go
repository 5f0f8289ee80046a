package model

import (
	"fmt"
	"math"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// DefaultMuon returns the defaults of torch.optim.Muon, with its learning rate adjusted
// to AdamW's ("match_rms_adamw"), and, for the parameters that it leaves to AdamW and
// for the weight decay, those of [DefaultAdamW]. PyTorch makes the directions
// orthogonal in bfloat16. Here that is in float32, whatever the precision.
func DefaultMuon() Optimizer {
	o := DefaultAdamW()
	o.Name, o.Momentum = "muon", .95
	return o
}

// byMuon returns the positions in Params of those that Muon updates: the weights of
// convolutions and fully connected layers except the first and the last, as its authors
// recommend. AdamW updates the others: all, if a network has fewer than three weights.
func (n *Net) byMuon() (hidden []int) {
	for i, p := range n.Params {
		if p.matrix() {
			hidden = append(hidden, i)
		}
	}
	if len(hidden) < 3 {
		return nil
	}
	return hidden[1 : len(hidden)-1]
}

// matrix reports whether the parameter is the weight of a convolution or of a fully
// connected layer.
func (p Param) matrix() bool { return len(p.Layout.Shape) > 1 }

// muon holds the tensors of a step of Muon on one weight. That of a convolution counts
// as a matrix (out, h·w·in), as in the authors' code; that its columns have another
// order than PyTorch's (in·h·w) only gives the direction's columns the same order.
type muon struct {
	param, grad, m kernels.Tensor // (rows·cols)
	rows, cols     int
	u, direction   kernels.Tensor // (rows, cols)
	wide           bool           // the Gram matrix is u·uᵀ, else uᵀ·u

	norm    kernels.Tensor    // (1)
	a, p, q kernels.Tensor    // (n, n), n the lesser of rows and cols
	t       [2]kernels.Tensor // (n, n), the factor so far, after even and odd iterations
}

func (s *section) muon(p Param) *muon {
	rows := p.Tensor.Dim(0)
	w := &muon{param: p.Tensor.Reshape(p.Tensor.Len()), rows: rows, cols: p.Tensor.Len() / rows}
	w.grad, w.m = inArena(s.Gradients, w.param), inArena(s.Moment1, w.param)
	w.u = w.grad.Reshape(rows, w.cols)
	w.wide = rows <= w.cols
	n := min(rows, w.cols)
	scratch := func(name string, shape ...int) kernels.Tensor { return s.scratch("/muon."+name+"."+p.Name, shape...) }
	w.direction, w.norm = scratch("direction", rows, w.cols), scratch("norm", 1)
	w.a, w.p, w.q = scratch("a", n, n), scratch("p", n, n), scratch("q", n, n)
	for i := range w.t {
		w.t[i] = scratch(fmt.Sprint("t", i), n, n)
	}
	return w
}

// inArena returns the tensor of a flat arena that is at the place of t in its own.
func inArena(arena, t kernels.Tensor) kernels.Tensor {
	t.Buffer = arena.Buffer
	return t
}

// writeMuon writes a step of Muon, described at [kernels.MuonMomentum], and one of AdamW
// for the parameters that Muon leaves out. Each op follows for all weights before the
// next one, so that a device can compute them at once.
func (s *section) writeMuon() {
	var weights []*muon
	for _, i := range s.byMuon() {
		weights = append(weights, s.muon(s.Params[i]))
	}
	each := func(op func(w *muon) kernels.Op) {
		for _, w := range weights {
			s.Add(op(w))
		}
	}
	o := s.Config.Optimizer
	each(func(w *muon) kernels.Op {
		return kernels.MuonMomentum{Grad: w.grad, M: w.m, Momentum: float64(o.Momentum)}
	})
	each(func(w *muon) kernels.Op {
		return kernels.GEMM{A: w.u, B: w.u, C: w.p, TransA: !w.wide, TransB: w.wide}
	})
	each(func(w *muon) kernels.Op { return kernels.MuonNormalize{Gram: w.p, A: w.a, Norm: w.norm} })
	for i := range kernels.NewtonSchulzSteps {
		writeNewtonSchulz(each, i)
	}
	factor := (kernels.NewtonSchulzSteps - 1) % 2
	each(func(w *muon) kernels.Op {
		if w.wide {
			return kernels.GEMM{A: w.t[factor], B: w.u, C: w.direction}
		}
		return kernels.GEMM{A: w.u, B: w.t[factor], C: w.direction}
	})
	each(func(w *muon) kernels.Op {
		return kernels.MuonStep{Param: w.param, Direction: w.direction.Reshape(w.rows * w.cols), Norm: w.norm, State: s.state, LearningRates: s.LearningRates,
			Scale: float32(.2 * math.Sqrt(float64(max(w.rows, w.cols)))), WeightDecay: float32(o.WeightDecay)}
	})
	s.Add(s.adamWithoutMuon()...)
}

// writeNewtonSchulz writes iteration i. The first one's Q is the factor so far.
func writeNewtonSchulz(each func(op func(w *muon) kernels.Op), i int) {
	q := func(w *muon) kernels.Tensor {
		if i == 0 {
			return w.t[0]
		}
		return w.q
	}
	each(func(w *muon) kernels.Op { return kernels.NewtonSchulz{A: w.a, P: w.p, Q: q(w)} })
	each(func(w *muon) kernels.Op { return kernels.GEMM{A: w.a, B: w.p, C: q(w), Accumulate: true} })
	if i > 0 {
		each(func(w *muon) kernels.Op { return kernels.GEMM{A: w.q, B: w.t[(i-1)%2], C: w.t[i%2]} })
	}
	if i < kernels.NewtonSchulzSteps-1 {
		each(func(w *muon) kernels.Op { return kernels.GEMM{A: q(w), B: w.a, C: w.p} })
		each(func(w *muon) kernels.Op { return kernels.GEMM{A: w.p, B: q(w), C: w.a} })
	}
}

// adamWithoutMuon returns a step of AdamW for each run of neighbouring parameters that
// Muon leaves out and that share a weight decay.
func (n *Net) adamWithoutMuon() (ops []kernels.Op) {
	o, hidden := n.Config.Optimizer, n.byMuon()
	for i := 0; i < len(n.Params); {
		if len(hidden) > 0 && hidden[0] == i {
			hidden = hidden[1:]
			i++
			continue
		}
		first, end := n.Params[i], i+1
		for end < len(n.Params) && (len(hidden) == 0 || hidden[0] != end) && n.Params[end].matrix() == first.matrix() {
			end++
		}
		last := n.Params[end-1].Tensor
		param := first.Tensor
		param.Shape = []int{last.Offset + last.Len() - param.Offset}
		decay := 0.0
		if first.matrix() {
			decay = o.WeightDecay
		}
		ops = append(ops, n.adam(param, decay))
		i = end
	}
	return ops
}
