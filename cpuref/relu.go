package cpuref

import "github.com/fmnist-gpu/fmnist-gpu/kernels"

func (p *program) reluForward(op kernels.ReLUForward) func() error {
	x, y := p.floats(op.X), p.floats(op.Y)
	relu := p.backend.simd.ReLUForward
	return p.elementwise(len(x), func(from, to int) { relu(y[from:to], x[from:to]) })
}

func (p *program) reluBackward(op kernels.ReLUBackward) func() error {
	return p.elementwise(op.Y.Len(), p.reluBackwardPart(op))
}

// reluBackwardPart returns the function that computes elements [from, to).
func (p *program) reluBackwardPart(op kernels.ReLUBackward) func(from, to int) {
	y, dy, dx := p.floats(op.Y), p.floats(op.DY), p.floats(op.DX)
	relu := p.backend.simd.ReLUBackward
	return func(from, to int) { relu(dx[from:to], y[from:to], dy[from:to]) }
}
