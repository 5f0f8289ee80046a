package model

import (
	"math"
	"slices"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// block writes the ops of one layer, or of several that are joined. A section
// is written forward first and then backward, so a block may keep the tensors
// of its forward ops for its backward ops.
type block interface {
	// declare adds the block's parameters to the net and returns the shape of
	// one sample's output, given that of its input.
	declare(n *Net, in Shape) Shape
	// forward writes the ops that turn x (batch, in...) into the result.
	forward(s *section, x value) value
	// backward writes the ops that turn the result's gradient into those of
	// the parameters (in training) and, if needed, of x, which is returned.
	backward(s *section, dy value, needDX bool) value
	// trained reports whether the block has parameters.
	trained() bool
}

// value is an activation or a gradient on its way through the blocks.
type value struct {
	kernels.Tensor
	// shared: another op reads the tensor later, so the next one must not
	// overwrite it.
	shared bool
}

// sequence is blocks one after the other.
type sequence []block

func (q sequence) declare(n *Net, in Shape) Shape {
	for _, b := range q {
		in = b.declare(n, in)
	}
	return in
}

func (q sequence) forward(s *section, x value) value {
	for _, b := range q {
		x = b.forward(s, x)
	}
	return x
}

// backward goes back as far as a gradient is needed: to the input, or to the
// first block with parameters.
func (q sequence) backward(s *section, dy value, needDX bool) value {
	first := slices.IndexFunc(q, block.trained)
	for i := len(q) - 1; i >= 0; i-- {
		if !needDX && i < max(first, 0) || !needDX && first < 0 {
			break
		}
		dy = q[i].backward(s, dy, needDX || i > first)
	}
	return dy
}

func (q sequence) trained() bool { return slices.ContainsFunc(q, block.trained) }

// target returns where an op that may work in place puts its result: into v,
// or into a tensor of the given name where v is shared.
func (s *section) target(v value, name string) kernels.Tensor {
	if v.shared || s.plain {
		return s.scratch(name, v.Shape...)
	}
	return v.Tensor
}

// defaultBound is the bound of PyTorch's default initial distribution for
// convolutions and fully connected layers, weights and biases alike: Kaiming
// uniform with a = √5 is uniform in ±1/√fan_in.
func defaultBound(fanIn int) float64 { return 1 / math.Sqrt(float64(fanIn)) }

// reluBlock is ReLU and, in training, dropout.
type reluBlock struct {
	name    string
	dropout float64
	layer   uint32 // number of the dropout

	y kernels.Tensor
}

func (l *reluBlock) trained() bool { return false }

func (l *reluBlock) declare(n *Net, in Shape) Shape {
	if l.dropout > 0 {
		l.layer = n.dropout()
	}
	return in
}

// drops reports whether a section's units are dropped.
func (l *reluBlock) drops(s *section) bool { return s.training && l.dropout > 0 }

func (l *reluBlock) forward(s *section, x value) value {
	l.y = s.target(x, l.name)
	if l.drops(s) {
		s.Add(kernels.ReLUDropoutForward{X: perSample(x.Tensor), State: s.state, Y: perSample(l.y), P: float32(l.dropout), Layer: l.layer})
	} else {
		s.Add(kernels.ReLUForward{X: x.Tensor, Y: l.y})
	}
	return value{l.y, true}
}

func (l *reluBlock) backward(s *section, dy value, _ bool) value {
	dx := s.target(dy, l.name+"/grad_input")
	if l.drops(s) {
		s.Add(kernels.ReLUDropoutBackward{Y: perSample(l.y), DY: perSample(dy.Tensor), DX: perSample(dx), P: float32(l.dropout)})
	} else {
		s.Add(kernels.ReLUBackward{Y: l.y, DY: dy.Tensor, DX: dx})
	}
	return value{dx, false}
}

// perSample returns t (batch, ...) as (batch, units).
func perSample(t kernels.Tensor) kernels.Tensor { return t.Reshape(t.Dim(0), t.Len()/t.Dim(0)) }

// smoothBlock is an activation whose gradient needs its input: GELU or SiLU.
type smoothBlock struct {
	name     string
	function Function

	x kernels.Tensor
}

func (l *smoothBlock) trained() bool                  { return false }
func (l *smoothBlock) declare(_ *Net, in Shape) Shape { return in }

func (l *smoothBlock) forward(s *section, x value) value {
	l.x = x.Tensor
	y := s.scratch(l.name, x.Shape...)
	if l.function == GELU {
		s.Add(kernels.GELUForward{X: x.Tensor, Y: y})
	} else {
		s.Add(kernels.SiLUForward{X: x.Tensor, Y: y})
	}
	return value{y, false}
}

func (l *smoothBlock) backward(s *section, dy value, _ bool) value {
	dx := s.target(dy, l.name+"/grad_input")
	if l.function == GELU {
		s.Add(kernels.GELUBackward{X: l.x, DY: dy.Tensor, DX: dx})
	} else {
		s.Add(kernels.SiLUBackward{X: l.x, DY: dy.Tensor, DX: dx})
	}
	return value{dx, false}
}

// dropoutBlock is dropout that does not follow a ReLU. In evaluation it is
// nothing.
type dropoutBlock struct {
	name  string
	p     float64
	layer uint32
}

func (l *dropoutBlock) trained() bool { return false }

func (l *dropoutBlock) declare(n *Net, in Shape) Shape {
	if l.p > 0 {
		l.layer = n.dropout()
	}
	return in
}

func (l *dropoutBlock) forward(s *section, x value) value {
	if !s.training || l.p == 0 {
		return x
	}
	y := s.target(x, l.name)
	s.Add(kernels.DropoutForward{X: perSample(x.Tensor), State: s.state, Y: perSample(y), P: float32(l.p), Layer: l.layer})
	return value{y, false}
}

func (l *dropoutBlock) backward(s *section, dy value, _ bool) value {
	if !s.training || l.p == 0 {
		return dy
	}
	dx := s.target(dy, l.name+"/grad_input")
	s.Add(kernels.DropoutBackward{DY: perSample(dy.Tensor), State: s.state, DX: perSample(dx), P: float32(l.p), Layer: l.layer})
	return value{dx, false}
}

// maxPoolBlock is a max-pool that joins no convolution.
type maxPoolBlock struct {
	name           string
	kernel, stride int

	x, index kernels.Tensor
}

func (l *maxPoolBlock) trained() bool { return false }

func (l *maxPoolBlock) declare(_ *Net, in Shape) Shape {
	return Shape{H: kernels.ConvOutput(in.H, l.kernel, l.stride, 0), W: kernels.ConvOutput(in.W, l.kernel, l.stride, 0), C: in.C}
}

func (l *maxPoolBlock) forward(s *section, x value) value {
	out := pooled(x.Tensor, l.kernel, l.kernel, l.stride)
	l.x = x.Tensor
	y := s.scratch(l.name, out...)
	if l.index = (kernels.Tensor{}); s.gradients {
		l.index = s.activation(l.name+"/index", kernels.Uint32, out...)
	}
	s.Add(kernels.MaxPoolForward{X: x.Tensor, Y: y, Index: l.index, Size: l.kernel, Stride: l.stride})
	return value{y, false}
}

func (l *maxPoolBlock) backward(s *section, dy value, _ bool) value {
	dx := s.scratch(l.name+"/grad_input", l.x.Shape...)
	s.Add(kernels.MaxPoolBackward{DY: dy.Tensor, Index: l.index, DX: dx, Size: l.kernel, Stride: l.stride})
	return value{dx, false}
}

// pooled returns the shape of pooling x (N, H, W, C).
func pooled(x kernels.Tensor, kh, kw, stride int) []int {
	return []int{x.Dim(0), kernels.ConvOutput(x.Dim(1), kh, stride, 0), kernels.ConvOutput(x.Dim(2), kw, stride, 0), x.Dim(3)}
}

// avgPoolBlock is an average pool, global where kernel is 0.
type avgPoolBlock struct {
	name           string
	kernel, stride int

	kh, kw int // of the window
	x      kernels.Tensor
}

func (l *avgPoolBlock) trained() bool { return false }

func (l *avgPoolBlock) declare(_ *Net, in Shape) Shape {
	if l.kh, l.kw = l.kernel, l.kernel; l.kernel == 0 {
		l.kh, l.kw, l.stride = in.H, in.W, 1
	}
	return Shape{H: kernels.ConvOutput(in.H, l.kh, l.stride, 0), W: kernels.ConvOutput(in.W, l.kw, l.stride, 0), C: in.C}
}

func (l *avgPoolBlock) forward(s *section, x value) value {
	l.x = x.Tensor
	y := s.scratch(l.name, pooled(x.Tensor, l.kh, l.kw, l.stride)...)
	s.Add(kernels.AvgPoolForward{X: x.Tensor, Y: y, KH: l.kh, KW: l.kw, Stride: l.stride})
	return value{y, false}
}

func (l *avgPoolBlock) backward(s *section, dy value, _ bool) value {
	dx := s.scratch(l.name+"/grad_input", l.x.Shape...)
	s.Add(kernels.AvgPoolBackward{DY: dy.Tensor, DX: dx, KH: l.kh, KW: l.kw, Stride: l.stride})
	return value{dx, false}
}

// flattenBlock turns (batch, H, W, C) into (batch, H·W·C). The shape of one
// sample keeps H, W and C, for the layout of what follows.
type flattenBlock struct{ shape []int }

func (l *flattenBlock) trained() bool { return false }

func (l *flattenBlock) declare(_ *Net, in Shape) Shape {
	in.Flat = true
	return in
}

func (l *flattenBlock) forward(_ *section, x value) value {
	l.shape = x.Shape
	return value{perSample(x.Tensor), x.shared}
}

func (l *flattenBlock) backward(_ *section, dy value, _ bool) value {
	return value{dy.Reshape(l.shape...), dy.shared}
}

// linearBlock is a fully connected layer over (batch, in).
type linearBlock struct {
	name  string
	layer Linear

	w, b Param // b without a tensor where the layer has no bias
	x    kernels.Tensor
}

func (l *linearBlock) trained() bool { return true }

func (l *linearBlock) declare(n *Net, in Shape) Shape {
	// PyTorch flattens (C, H, W), the device (H, W, C); after the first
	// fully connected layer an activation is (1, 1, C) and both agree.
	out, features := l.layer.units(len(n.Config.Network.Classes)), in.Len()
	bound := defaultBound(features)
	l.w = n.parameter(l.name+".weight", []int{out, features},
		Layout{Out: out, H: in.H, W: in.W, C: in.C, Shape: []int{out, features}}, bound, 0)
	if !l.layer.NoBias {
		l.b = n.parameter(l.name+".bias", []int{out}, plain(out), bound, 0)
	}
	return Shape{H: 1, W: 1, C: out, Flat: true}
}

func (l *linearBlock) forward(s *section, x value) value {
	l.x = x.Tensor
	y := s.scratch(l.name, s.batch, l.w.Tensor.Dim(0))
	s.Add(kernels.GEMM{A: x.Tensor, B: s.weight(l.w.Tensor), Bias: s.weight(l.b.Tensor), C: y, TransB: true, Precision: s.Config.Precision})
	return value{y, false}
}

func (l *linearBlock) backward(s *section, dy value, needDX bool) value {
	if s.training {
		s.Add(kernels.GEMM{A: dy.Tensor, B: l.x, C: l.w.Grad, RowSums: l.b.Grad, TransA: true, Precision: s.Config.Precision})
	}
	if !needDX {
		return value{}
	}
	dx := s.scratch(l.name+"/grad_input", l.x.Shape...)
	s.Add(kernels.GEMM{A: dy.Tensor, B: s.weight(l.w.Tensor), C: dx, Precision: s.Config.Precision})
	return value{dx, false}
}

// residualBlock is body(x) + shortcut(x), where no shortcut is x itself, and
// then perhaps ReLU.
type residualBlock struct {
	name           string
	body, shortcut sequence
	relu           bool

	y kernels.Tensor
}

func (l *residualBlock) trained() bool { return l.body.trained() || l.shortcut.trained() }

func (l *residualBlock) declare(n *Net, in Shape) Shape {
	out := l.body.declare(n, in)
	l.shortcut.declare(n, in)
	return out
}

func (l *residualBlock) forward(s *section, x value) value {
	x.shared = true
	body, shortcut := l.body.forward(s, x), l.shortcut.forward(s, x)
	l.y = s.target(body, l.name)
	s.Add(kernels.Add{A: body.Tensor, B: shortcut.Tensor, Y: l.y, ReLU: l.relu})
	return value{l.y, l.relu}
}

func (l *residualBlock) backward(s *section, dy value, needDX bool) value {
	if l.relu {
		dsum := s.target(dy, l.name+"/grad_sum")
		s.Add(kernels.ReLUBackward{Y: l.y, DY: dy.Tensor, DX: dsum})
		dy = value{dsum, false}
	}
	// Both branches read dy; the one that comes last may overwrite it.
	body := l.body.backward(s, value{dy.Tensor, true}, needDX)
	dy.shared = dy.shared || body.Buffer == dy.Buffer // a body that changes nothing
	shortcut := l.shortcut.backward(s, dy, needDX)
	if !needDX {
		return value{}
	}
	dx := s.target(body, l.name+"/grad_input")
	s.Add(kernels.Add{A: body.Tensor, B: shortcut.Tensor, Y: dx})
	return value{dx, false}
}
