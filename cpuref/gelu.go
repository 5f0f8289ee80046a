package cpuref

import "github.com/fmnist-gpu/fmnist-gpu/kernels"

func (p *program) geluForward(op kernels.GELUForward) func() error {
	x, y := p.floats(op.X), p.floats(op.Y)
	gelu := p.backend.simd.GELUForward
	return p.elementwise(len(x), func(from, to int) { gelu(y[from:to], x[from:to]) })
}

func (p *program) geluBackward(op kernels.GELUBackward) func() error {
	x, dy, dx := p.floats(op.X), p.floats(op.DY), p.floats(op.DX)
	gelu := p.backend.simd.GELUBackward
	return p.elementwise(len(x), func(from, to int) { gelu(dx[from:to], x[from:to], dy[from:to]) })
}
