package model

import (
	"math"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// layer writes the ops of one layer of a network. The forward ops of a section
// are written before the backward ops, so a layer can keep the tensors of its
// forward ops for its backward ops.
type layer interface {
	// declare adds the layer's parameters to the net and returns the shape of
	// one sample's output, given that of its input.
	declare(n *Net, in []int) []int
	// forward writes the ops that compute the output from x (batch, in...) and
	// returns the output.
	forward(s *section, x kernels.Tensor) kernels.Tensor
	// backward writes the ops that compute, from the gradient dy of the output,
	// those of the parameters (in training) and, if needed, that of x, which it
	// returns.
	backward(s *section, dy kernels.Tensor, needDX bool) kernels.Tensor
	// trained reports whether the layer has parameters.
	trained() bool
}

// defaultBound is the bound of PyTorch's default initialisation of weights and
// biases in convolutions and fully connected layers: Kaiming uniform with a = √5
// is uniform in ±1/√fan_in.
func defaultBound(fanIn int) float64 { return 1 / math.Sqrt(float64(fanIn)) }

// convBlock is a convolution with stride 1, batch-norm, ReLU and a max-pool of
// pool×pool windows (1: none). Batch-norm normalises with the batch statistics in
// training and with the running ones in evaluation, with PyTorch's ε 1e-5 and
// momentum .1.
type convBlock struct {
	conv, norm       string // names of the parameters
	out, kernel, pad int
	pool             int

	w, b, gamma, beta    Param
	runningMean          kernels.Tensor
	runningVar           kernels.Tensor
	x, z, y, index       kernels.Tensor // input, convolution, output, positions of the maxima
	mean, variance, invS kernels.Tensor // of the batch
}

const (
	batchNormEps      = 1e-5
	batchNormMomentum = .1
)

func (l *convBlock) trained() bool { return true }

func (l *convBlock) declare(n *Net, in []int) []int {
	c, k := in[2], l.kernel
	bound := defaultBound(c * k * k)
	l.w = n.parameter(l.conv+".weight", []int{l.out, k, k, c},
		Layout{Out: l.out, H: k, W: k, C: c, Shape: []int{l.out, c, k, k}}, bound, 0)
	l.b = n.parameter(l.conv+".bias", []int{l.out}, plain(l.out), bound, 0)
	l.gamma = n.parameter(l.norm+".weight", []int{l.out}, plain(l.out), 0, 1)
	l.beta = n.parameter(l.norm+".bias", []int{l.out}, plain(l.out), 0, 0)
	l.runningMean = n.statistic(l.norm+".running_mean", l.out, 0)
	l.runningVar = n.statistic(l.norm+".running_var", l.out, 1)
	return []int{kernels.ConvOutput(in[0], k, 1, l.pad) / l.pool, kernels.ConvOutput(in[1], k, 1, l.pad) / l.pool, l.out}
}

func (l *convBlock) forward(s *section, x kernels.Tensor) kernels.Tensor {
	h, w := kernels.ConvOutput(x.Dim(1), l.kernel, 1, l.pad), kernels.ConvOutput(x.Dim(2), l.kernel, 1, l.pad)
	out := []int{s.batch, h / l.pool, w / l.pool, l.out}
	l.x, l.z, l.y = x, s.scratch(l.conv, s.batch, h, w, l.out), s.scratch(l.norm, out...)
	if !s.training {
		s.Add(kernels.ConvForward{X: x, W: l.w.Tensor, Bias: l.b.Tensor, Y: l.z, Stride: 1, Pad: l.pad, Precision: s.Config.Precision},
			kernels.BatchNormReLUPoolInference{X: l.z, Gamma: l.gamma.Tensor, Beta: l.beta.Tensor,
				RunningMean: l.runningMean, RunningVar: l.runningVar, Y: l.y, Size: l.pool, Eps: batchNormEps})
		return l.y
	}
	l.mean, l.variance, l.invS = s.scratch(l.norm+".mean", l.out), s.scratch(l.norm+".var", l.out), s.scratch(l.norm+".inv_std", l.out)
	if l.pool > 1 {
		l.index = s.activation(l.norm+".index", kernels.Uint32, out...)
	}
	s.Add(kernels.ConvForward{X: x, W: l.w.Tensor, Bias: l.b.Tensor, Y: l.z, Mean: l.mean, Var: l.variance, Stride: 1, Pad: l.pad, Precision: s.Config.Precision},
		kernels.BatchNormReLUPoolForward{X: l.z, Mean: l.mean, Var: l.variance, Gamma: l.gamma.Tensor, Beta: l.beta.Tensor,
			RunningMean: l.runningMean, RunningVar: l.runningVar, InvStd: l.invS, Y: l.y, Index: l.index,
			Size: l.pool, Momentum: batchNormMomentum, Eps: batchNormEps})
	return l.y
}

// backward overwrites the convolution's output with its gradient, as nothing else
// reads the output.
func (l *convBlock) backward(s *section, dy kernels.Tensor, needDX bool) kernels.Tensor {
	s.Add(kernels.BatchNormReLUPoolBackward{X: l.z, Y: l.y, DY: dy, Index: l.index, Gamma: l.gamma.Tensor,
		Mean: l.mean, InvStd: l.invS, DX: l.z, DGamma: l.gamma.Grad, DBeta: l.beta.Grad, Size: l.pool},
		kernels.ConvBackwardWeight{X: l.x, DY: l.z, DW: l.w.Grad, DBias: l.b.Grad, Stride: 1, Pad: l.pad, Precision: s.Config.Precision})
	if !needDX {
		return kernels.Tensor{}
	}
	dx := s.scratch(l.conv+".grad_input", l.x.Shape...)
	s.Add(kernels.ConvBackwardInput{DY: l.z, W: l.w.Tensor, DX: dx, Stride: 1, Pad: l.pad, Precision: s.Config.Precision})
	return dx
}

// linear is a fully connected layer on (batch, in).
type linear struct {
	name string
	out  int

	w, b Param
	x    kernels.Tensor
}

func (l *linear) trained() bool { return true }

func (l *linear) declare(n *Net, in []int) []int {
	// PyTorch flattens (C, H, W), the device (H, W, C). After the first fully
	// connected layer an activation is (1, 1, C), where both agree.
	h, w, c := in[0], in[1], in[2]
	features := h * w * c
	bound := defaultBound(features)
	l.w = n.parameter(l.name+".weight", []int{l.out, features},
		Layout{Out: l.out, H: h, W: w, C: c, Shape: []int{l.out, features}}, bound, 0)
	l.b = n.parameter(l.name+".bias", []int{l.out}, plain(l.out), bound, 0)
	return []int{1, 1, l.out}
}

func (l *linear) forward(s *section, x kernels.Tensor) kernels.Tensor {
	l.x = x
	y := s.scratch(l.name, s.batch, l.out)
	s.Add(kernels.GEMM{A: x, B: l.w.Tensor, Bias: l.b.Tensor, C: y, TransB: true, Precision: s.Config.Precision})
	return y
}

func (l *linear) backward(s *section, dy kernels.Tensor, needDX bool) kernels.Tensor {
	if s.training {
		s.Add(kernels.GEMM{A: dy, B: l.x, C: l.w.Grad, RowSums: l.b.Grad, TransA: true, Precision: s.Config.Precision})
	}
	if !needDX {
		return kernels.Tensor{}
	}
	dx := s.scratch(l.name+".grad_input", l.x.Shape...)
	s.Add(kernels.GEMM{A: dy, B: l.w.Tensor, C: dx, Precision: s.Config.Precision})
	return dx
}

// reluDropout is ReLU followed, in training, by dropout with probability p. It
// works in place in both directions.
type reluDropout struct {
	p float32
	y kernels.Tensor
}

func (l *reluDropout) trained() bool { return false }

func (l *reluDropout) declare(_ *Net, in []int) []int { return in }

func (l *reluDropout) forward(s *section, x kernels.Tensor) kernels.Tensor {
	l.y = x
	if s.training && l.p > 0 {
		s.Add(kernels.ReLUDropoutForward{X: x, State: s.state, Y: x, P: l.p})
	} else {
		s.Add(kernels.ReLUForward{X: x, Y: x})
	}
	return x
}

func (l *reluDropout) backward(s *section, dy kernels.Tensor, _ bool) kernels.Tensor {
	if s.training && l.p > 0 {
		s.Add(kernels.ReLUDropoutBackward{Y: l.y, DY: dy, DX: dy, P: l.p})
	} else {
		s.Add(kernels.ReLUBackward{Y: l.y, DY: dy, DX: dy})
	}
	return dy
}

// flatten reshapes (batch, H, W, C) to (batch, H·W·C). The declared shape of one
// sample stays (H, W, C), which the layout of the next weight needs.
type flatten struct{ shape []int }

func (l *flatten) trained() bool { return false }

func (l *flatten) declare(_ *Net, in []int) []int { return in }

func (l *flatten) forward(_ *section, x kernels.Tensor) kernels.Tensor {
	l.shape = x.Shape
	return x.Reshape(x.Dim(0), x.Len()/x.Dim(0))
}

func (l *flatten) backward(_ *section, dy kernels.Tensor, _ bool) kernels.Tensor {
	return dy.Reshape(l.shape...)
}
