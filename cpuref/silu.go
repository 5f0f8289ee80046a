package cpuref

import "github.com/fmnist-gpu/fmnist-gpu/kernels"

func (p *program) siluForward(op kernels.SiLUForward) func() error {
	x, y := p.floats(op.X), p.floats(op.Y)
	silu := p.backend.simd.SiLUForward
	return p.elementwise(len(x), func(from, to int) { silu(y[from:to], x[from:to]) })
}

func (p *program) siluBackward(op kernels.SiLUBackward) func() error {
	x, dy, dx := p.floats(op.X), p.floats(op.DY), p.floats(op.DX)
	silu := p.backend.simd.SiLUBackward
	return p.elementwise(len(x), func(from, to int) { silu(dx[from:to], x[from:to], dy[from:to]) })
}
