package model

import "github.com/fmnist-gpu/fmnist-gpu/kernels"

// convolution is a convolution's part of a block.
type convolution struct {
	name  string
	layer Conv

	w, b Param          // b without a tensor where the layer has no bias
	x, z kernels.Tensor // input and output
}

func (c *convolution) stride() int { return strideOf(c.layer.Stride, 1) }

func convOutput(in int, l Conv) int {
	return kernels.ConvOutput(in, l.Kernel, strideOf(l.Stride, 1), l.Padding)
}

func (c *convolution) declare(n *Net, in Shape) Shape {
	out, k := c.layer.Out, c.layer.Kernel
	bound := defaultBound(in.C * k * k)
	c.w = n.parameter(c.name+".weight", []int{out, k, k, in.C},
		Layout{Out: out, H: k, W: k, C: in.C, Shape: []int{out, in.C, k, k}}, bound, 0)
	if !c.layer.NoBias {
		c.b = n.parameter(c.name+".bias", []int{out}, plain(out), bound, 0)
	}
	return Shape{H: convOutput(in.H, c.layer), W: convOutput(in.W, c.layer), C: out}
}

// forward writes the convolution, with the statistics of its output where mean
// and variance are there.
func (c *convolution) forward(s *section, x value, mean, variance kernels.Tensor) {
	c.x = x.Tensor
	c.z = s.scratch(c.name, s.batch, convOutput(x.Dim(1), c.layer), convOutput(x.Dim(2), c.layer), c.layer.Out)
	s.Add(kernels.ConvForward{X: c.x, W: s.weight(c.w.Tensor), Bias: s.weight(c.b.Tensor), Y: c.z, Mean: mean, Var: variance,
		Stride: c.stride(), Pad: c.layer.Padding, Precision: s.Config.Precision})
}

// backward writes the gradients, given that of the output.
func (c *convolution) backward(s *section, dz kernels.Tensor, needDX bool) value {
	s.Add(kernels.ConvBackwardWeight{X: c.x, DY: dz, DW: c.w.Grad, DBias: c.b.Grad,
		Stride: c.stride(), Pad: c.layer.Padding, Precision: s.Config.Precision})
	if !needDX {
		return value{}
	}
	dx := s.scratch(c.name+"/grad_input", c.x.Shape...)
	s.Add(kernels.ConvBackwardInput{DY: dz, W: s.weight(c.w.Tensor), DX: dx,
		Stride: c.stride(), Pad: c.layer.Padding, Precision: s.Config.Precision})
	return value{dx, false}
}

// inference writes the convolution with the batch-norm and what follows it, without
// anything for backward ops, into the tensor that bears the batch-norm's name.
func (c *convolution) inference(s *section, x value, m *normalization, relu bool, pool int) (y kernels.Tensor) {
	h, w := convOutput(x.Dim(1), c.layer), convOutput(x.Dim(2), c.layer)
	z := s.scratch(c.name, s.batch, h, w, c.layer.Out)
	y = s.scratch(m.name, s.batch, h/pool, w/pool, c.layer.Out)
	s.Add(kernels.ConvBatchNormInference{X: x.Tensor, W: s.weight(c.w.Tensor), Bias: s.weight(c.b.Tensor), Gamma: s.weight(m.gamma.Tensor), Beta: s.weight(m.beta.Tensor),
		RunningMean: s.weight(m.runningMean), RunningVar: s.weight(m.runningVar), Z: z, Y: y,
		Stride: c.stride(), Pad: c.layer.Padding, Precision: s.Config.Precision, ReLU: relu, Pool: pool, Eps: BatchNormEps})
	return y
}

// BatchNormEps is added to the variance in every [BatchNorm], as in PyTorch.
const BatchNormEps = 1e-5

const batchNormMomentum = .1 // PyTorch's default

// normalization is a batch-norm's part of a block.
type normalization struct {
	name string

	gamma, beta             Param
	runningMean, runningVar kernels.Tensor
	mean, invStd            kernels.Tensor // of the batch
}

// declare adds the parameters for the channels of an image, or the elements of
// a vector, which PyTorch has in another order where it was an image.
func (m *normalization) declare(n *Net, in Shape) {
	c, layout := in.C, plain(in.C)
	if in.Flat {
		c = in.Len()
		layout = Layout{Out: 1, H: in.H, W: in.W, C: in.C, Shape: []int{c}}
	}
	m.gamma = n.parameter(m.name+".weight", []int{c}, layout, 0, 1)
	m.beta = n.parameter(m.name+".bias", []int{c}, layout, 0, 0)
	m.runningMean = n.statistic(m.name+".running_mean", c, layout, 0)
	m.runningVar = n.statistic(m.name+".running_var", c, layout, 1)
}

// batch allocates what the batch's statistics are saved in.
func (m *normalization) batch(s *section) {
	c := m.gamma.Tensor.Len()
	m.mean, m.invStd = s.scratch(m.name+"/mean", c), s.scratch(m.name+"/inv_std", c)
}

func (m *normalization) variance(s *section) kernels.Tensor {
	return s.scratch(m.name+"/var", m.gamma.Tensor.Len())
}

// forward writes the batch-norm of x into y. In training variance holds x's,
// and mean its mean, or variance is absent.
func (m *normalization) forward(s *section, x, y, variance kernels.Tensor) {
	if !s.training {
		s.Add(kernels.BatchNormInference{X: x, Gamma: s.weight(m.gamma.Tensor), Beta: s.weight(m.beta.Tensor),
			RunningMean: s.weight(m.runningMean), RunningVar: s.weight(m.runningVar), Y: y, Eps: BatchNormEps})
		return
	}
	s.Add(kernels.BatchNormForward{X: x, Gamma: m.gamma.Tensor, Beta: m.beta.Tensor, RunningMean: m.runningMean,
		RunningVar: m.runningVar, Mean: m.mean, Var: variance, InvStd: m.invStd, Y: y, Momentum: batchNormMomentum, Eps: BatchNormEps})
}

// backward writes the gradient of x. In evaluation the op is linear, so its
// gradient is the op itself without mean and Beta.
func (m *normalization) backward(s *section, x, dy, dx kernels.Tensor) {
	if !s.training {
		zero := s.scratch(m.name+"/zero", m.gamma.Tensor.Len()) // never written
		s.Add(kernels.BatchNormInference{X: dy, Gamma: s.weight(m.gamma.Tensor), Beta: zero, RunningMean: zero,
			RunningVar: s.weight(m.runningVar), Y: dx, Eps: BatchNormEps})
		return
	}
	s.Add(kernels.BatchNormBackward{X: x, DY: dy, Gamma: m.gamma.Tensor, Mean: m.mean, InvStd: m.invStd,
		DX: dx, DGamma: m.gamma.Grad, DBeta: m.beta.Grad})
}

// convBlock is a convolution alone.
type convBlock struct{ convolution }

func (l *convBlock) trained() bool { return true }

func (l *convBlock) forward(s *section, x value) value {
	l.convolution.forward(s, x, kernels.Tensor{}, kernels.Tensor{})
	return value{l.z, false}
}

func (l *convBlock) backward(s *section, dy value, needDX bool) value {
	return l.convolution.backward(s, dy.Tensor, needDX)
}

// normBlock is a batch-norm that does not follow a convolution.
type normBlock struct {
	name string
	normalization
	x kernels.Tensor
}

func (l *normBlock) trained() bool { return true }

func (l *normBlock) declare(n *Net, in Shape) Shape {
	l.normalization.name = l.name
	l.normalization.declare(n, in)
	return in
}

func (l *normBlock) forward(s *section, x value) value {
	if s.training {
		l.batch(s)
	}
	l.x = x.Tensor
	y := s.scratch(l.name, x.Shape...)
	l.normalization.forward(s, x.Tensor, y, kernels.Tensor{})
	return value{y, false}
}

func (l *normBlock) backward(s *section, dy value, _ bool) value {
	dx := s.target(dy, l.name+"/grad_input")
	l.normalization.backward(s, l.x, dy.Tensor, dx)
	return value{dx, false}
}

// convNormBlock is a convolution and a batch-norm.
type convNormBlock struct {
	convolution
	normalization
}

func (l *convNormBlock) trained() bool { return true }

func (l *convNormBlock) declare(n *Net, in Shape) Shape {
	out := l.convolution.declare(n, in)
	l.normalization.declare(n, out)
	return out
}

func (l *convNormBlock) forward(s *section, x value) value {
	if !s.training && !s.gradients {
		return value{l.inference(s, x, &l.normalization, false, 1), false}
	}
	var variance, mean kernels.Tensor
	if s.training {
		l.batch(s)
		mean, variance = l.mean, l.normalization.variance(s)
	}
	l.convolution.forward(s, x, mean, variance)
	y := s.scratch(l.normalization.name, l.z.Shape...)
	l.normalization.forward(s, l.z, y, variance)
	return value{y, false}
}

func (l *convNormBlock) backward(s *section, dy value, needDX bool) value {
	dz := s.target(dy, l.convolution.name+"/grad")
	l.normalization.backward(s, l.z, dy.Tensor, dz)
	return l.convolution.backward(s, dz, needDX)
}

// convNormReLUPoolBlock is a convolution, a batch-norm, ReLU and a max-pool of
// pool×pool windows side by side (1: none).
type convNormReLUPoolBlock struct {
	convolution
	normalization
	pool int

	y, index kernels.Tensor // output, and where the maxima came from
}

func (l *convNormReLUPoolBlock) trained() bool { return true }

func (l *convNormReLUPoolBlock) declare(n *Net, in Shape) Shape {
	out := l.convolution.declare(n, in)
	l.normalization.declare(n, out)
	return Shape{H: out.H / l.pool, W: out.W / l.pool, C: out.C}
}

func (l *convNormReLUPoolBlock) forward(s *section, x value) value {
	if !s.training && !s.gradients {
		return value{l.inference(s, x, &l.normalization, true, l.pool), true}
	}
	if !s.training {
		l.convolution.forward(s, x, kernels.Tensor{}, kernels.Tensor{})
		l.y = s.scratch(l.normalization.name, l.outputShape()...)
		s.Add(kernels.BatchNormReLUPoolInference{X: l.z, Gamma: s.weight(l.gamma.Tensor), Beta: s.weight(l.beta.Tensor),
			RunningMean: s.weight(l.runningMean), RunningVar: s.weight(l.runningVar), Y: l.y, Size: l.pool, Eps: BatchNormEps})
		return value{l.y, true}
	}
	l.batch(s)
	variance := l.normalization.variance(s)
	l.convolution.forward(s, x, l.mean, variance)
	l.y = s.scratch(l.normalization.name, l.outputShape()...)
	if l.pool > 1 {
		l.index = s.activation(l.normalization.name+"/index", kernels.Uint32, l.outputShape()...)
	}
	s.Add(kernels.BatchNormReLUPoolForward{X: l.z, Mean: l.mean, Var: variance, Gamma: l.gamma.Tensor, Beta: l.beta.Tensor,
		RunningMean: l.runningMean, RunningVar: l.runningVar, InvStd: l.invStd, Y: l.y, Index: l.index,
		Size: l.pool, Momentum: batchNormMomentum, Eps: BatchNormEps})
	return value{l.y, true}
}

// outputShape returns the shape of y, given z.
func (l *convNormReLUPoolBlock) outputShape() []int {
	return []int{l.z.Dim(0), l.z.Dim(1) / l.pool, l.z.Dim(2) / l.pool, l.z.Dim(3)}
}

// backward overwrites the convolution's output with its gradient: nothing
// else reads it.
func (l *convNormReLUPoolBlock) backward(s *section, dy value, needDX bool) value {
	s.Add(kernels.BatchNormReLUPoolBackward{X: l.z, Y: l.y, DY: dy.Tensor, Index: l.index, Gamma: l.gamma.Tensor,
		Mean: l.mean, InvStd: l.invStd, DX: l.z, DGamma: l.gamma.Grad, DBeta: l.beta.Grad, Size: l.pool})
	return l.convolution.backward(s, l.z, needDX)
}
