package cpuref

import "github.com/fmnist-gpu/fmnist-gpu/kernels"

func (p *program) add(op kernels.Add) func() error {
	a, b, y := p.floats(op.A), p.floats(op.B), p.floats(op.Y)
	if &y[0] == &b[0] {
		a, b = b, a
	}
	k := p.backend.simd
	return p.elementwise(len(y), func(from, to int) {
		sum := y[from:to]
		if &y[0] != &a[0] {
			copy(sum, a[from:to])
		}
		k.Add(sum, b[from:to])
		if op.ReLU {
			k.ReLUForward(sum, sum)
		}
	})
}
