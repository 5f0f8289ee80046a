package model

import (
	"math"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// layer writes the ops of one layer of a network. A section is written
// forward first and then backward, so a layer may keep the tensors of its
// forward ops for its backward ops.
type layer interface {
	// declare adds the layer's parameters to the net and returns the shape of
	// one sample's output, given that of its input.
	declare(n *Net, in []int) []int
	// forward writes the ops that turn x (batch, in...) into the result.
	forward(s *section, x kernels.Tensor) kernels.Tensor
	// backward writes the ops that turn the result's gradient into those of
	// the parameters and, if needed, of x, which is returned.
	backward(s *section, dy kernels.Tensor, needDX bool) kernels.Tensor
	// trained reports whether the layer has parameters.
	trained() bool
}

// defaultBound is the bound of PyTorch's default initial distribution for
// convolutions and fully connected layers, weights and biases alike: Kaiming
// uniform with a = √5 is uniform in ±1/√fan_in.
func defaultBound(fanIn int) float64 { return 1 / math.Sqrt(float64(fanIn)) }

// conv is a convolution with stride 1.
type conv struct {
	name             string
	out, kernel, pad int

	w, b Param
	x, y kernels.Tensor
}

func (l *conv) trained() bool { return true }

func (l *conv) declare(n *Net, in []int) []int {
	c, k := in[2], l.kernel
	bound := defaultBound(c * k * k)
	l.w = n.parameter(l.name+".weight", []int{l.out, k, k, c},
		Layout{Out: l.out, H: k, W: k, C: c, Shape: []int{l.out, c, k, k}}, bound, 0)
	l.b = n.parameter(l.name+".bias", []int{l.out}, plain(l.out), bound, 0)
	return []int{kernels.ConvOutput(in[0], k, 1, l.pad), kernels.ConvOutput(in[1], k, 1, l.pad), l.out}
}

func (l *conv) forward(s *section, x kernels.Tensor) kernels.Tensor {
	oh, ow := kernels.ConvOutput(x.Dim(1), l.kernel, 1, l.pad), kernels.ConvOutput(x.Dim(2), l.kernel, 1, l.pad)
	l.x, l.y = x, s.scratch(l.name, s.batch, oh, ow, l.out)
	s.Add(kernels.ConvForward{X: x, W: l.w.Tensor, Bias: l.b.Tensor, Y: l.y, Stride: 1, Pad: l.pad})
	return l.y
}

func (l *conv) backward(s *section, dy kernels.Tensor, needDX bool) kernels.Tensor {
	s.Add(kernels.ColumnSum{X: dy, Y: l.b.Grad},
		kernels.ConvBackwardWeight{X: l.x, DY: dy, DW: l.w.Grad, Stride: 1, Pad: l.pad})
	if !needDX {
		return kernels.Tensor{}
	}
	dx := s.scratch(l.name+".grad_input", l.x.Shape...)
	s.Add(kernels.ConvBackwardInput{DY: dy, W: l.w.Tensor, DX: dx, Stride: 1, Pad: l.pad})
	return dx
}

// linear is a fully connected layer over (batch, in).
type linear struct {
	name string
	out  int

	w, b Param
	x    kernels.Tensor
}

func (l *linear) trained() bool { return true }

func (l *linear) declare(n *Net, in []int) []int {
	// PyTorch flattens (C, H, W), the device (H, W, C); after the first
	// fully connected layer an activation is (1, 1, C) and both agree.
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
	s.Add(kernels.GEMM{A: x, B: l.w.Tensor, Bias: l.b.Tensor, C: y, TransB: true})
	return y
}

func (l *linear) backward(s *section, dy kernels.Tensor, needDX bool) kernels.Tensor {
	s.Add(kernels.ColumnSum{X: dy, Y: l.b.Grad}, kernels.GEMM{A: dy, B: l.x, C: l.w.Grad, TransA: true})
	if !needDX {
		return kernels.Tensor{}
	}
	dx := s.scratch(l.name+".grad_input", l.x.Shape...)
	s.Add(kernels.GEMM{A: dy, B: l.w.Tensor, C: dx})
	return dx
}

// batchNorm normalises by the batch's statistics in training and by running
// ones in evaluation, with PyTorch's ε 1e-5 and momentum .1.
type batchNorm struct {
	name string

	gamma, beta           Param
	mean, variance        kernels.Tensor // running
	batchMean, batchInvSD kernels.Tensor
	x                     kernels.Tensor
}

const (
	batchNormEps      = 1e-5
	batchNormMomentum = .1
)

func (l *batchNorm) trained() bool { return true }

func (l *batchNorm) declare(n *Net, in []int) []int {
	c := in[2]
	l.gamma = n.parameter(l.name+".weight", []int{c}, plain(c), 0, 1)
	l.beta = n.parameter(l.name+".bias", []int{c}, plain(c), 0, 0)
	l.mean = n.statistic(l.name+".running_mean", c, 0)
	l.variance = n.statistic(l.name+".running_var", c, 1)
	return in
}

func (l *batchNorm) forward(s *section, x kernels.Tensor) kernels.Tensor {
	if !s.training {
		s.Add(kernels.BatchNormInference{X: x, Gamma: l.gamma.Tensor, Beta: l.beta.Tensor,
			RunningMean: l.mean, RunningVar: l.variance, Y: x, Eps: batchNormEps})
		return x
	}
	c := x.Dim(-1)
	l.x, l.batchMean, l.batchInvSD = x, s.scratch(l.name+".mean", c), s.scratch(l.name+".inv_std", c)
	y := s.scratch(l.name, x.Shape...)
	s.Add(kernels.BatchNormForward{X: x, Gamma: l.gamma.Tensor, Beta: l.beta.Tensor,
		RunningMean: l.mean, RunningVar: l.variance, Mean: l.batchMean, InvStd: l.batchInvSD, Y: y,
		Momentum: batchNormMomentum, Eps: batchNormEps})
	return y
}

func (l *batchNorm) backward(s *section, dy kernels.Tensor, _ bool) kernels.Tensor {
	s.Add(kernels.BatchNormBackward{X: l.x, DY: dy, Gamma: l.gamma.Tensor, Mean: l.batchMean, InvStd: l.batchInvSD,
		DX: dy, DGamma: l.gamma.Grad, DBeta: l.beta.Grad})
	return dy
}

// relu works in place, forward and backward: batch-norm keeps its input, not
// its output.
type relu struct{ y kernels.Tensor }

func (l *relu) trained() bool { return false }

func (l *relu) declare(_ *Net, in []int) []int { return in }

func (l *relu) forward(s *section, x kernels.Tensor) kernels.Tensor {
	l.y = x
	s.Add(kernels.ReLUForward{X: x, Y: x})
	return x
}

func (l *relu) backward(s *section, dy kernels.Tensor, _ bool) kernels.Tensor {
	s.Add(kernels.ReLUBackward{Y: l.y, DY: dy, DX: dy})
	return dy
}

// maxPool takes the maximum of 2×2 windows.
type maxPool struct {
	name string

	x, index kernels.Tensor
}

const poolSize = 2

func (l *maxPool) trained() bool { return false }

func (l *maxPool) declare(_ *Net, in []int) []int {
	return []int{in[0] / poolSize, in[1] / poolSize, in[2]}
}

func (l *maxPool) forward(s *section, x kernels.Tensor) kernels.Tensor {
	shape := []int{x.Dim(0), x.Dim(1) / poolSize, x.Dim(2) / poolSize, x.Dim(3)}
	y := s.scratch(l.name, shape...)
	l.x, l.index = x, kernels.Tensor{}
	if s.training {
		l.index = s.activation(l.name+".index", kernels.Uint32, shape...)
	}
	s.Add(kernels.MaxPoolForward{X: x, Y: y, Index: l.index, Size: poolSize, Stride: poolSize})
	return y
}

func (l *maxPool) backward(s *section, dy kernels.Tensor, _ bool) kernels.Tensor {
	dx := s.scratch(l.name+".grad_input", l.x.Shape...)
	s.Add(kernels.MaxPoolBackward{DY: dy, Index: l.index, DX: dx, Size: poolSize, Stride: poolSize})
	return dx
}

// flatten turns (batch, H, W, C) into (batch, H·W·C). The shape of one sample
// stays (H, W, C), for the layout of the weight that follows.
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

// dropout zeroes units in training; in evaluation, or with p = 0, it is
// nothing at all.
type dropout struct {
	name string
	p    float32
}

func (l *dropout) trained() bool { return false }

func (l *dropout) declare(_ *Net, in []int) []int { return in }

func (l *dropout) forward(s *section, x kernels.Tensor) kernels.Tensor {
	if !s.training || l.p == 0 {
		return x
	}
	y := s.scratch(l.name, x.Shape...)
	s.Add(kernels.DropoutForward{X: x, State: s.state, Y: y, P: l.p})
	return y
}

func (l *dropout) backward(s *section, dy kernels.Tensor, _ bool) kernels.Tensor {
	if l.p > 0 {
		s.Add(kernels.DropoutBackward{DY: dy, State: s.state, DX: dy, P: l.p})
	}
	return dy
}
