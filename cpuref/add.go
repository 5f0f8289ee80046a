package cpuref

import "github.com/fmnist-gpu/fmnist-gpu/kernels"

func (p *program) add(op kernels.Add) func() error {
	return p.elementwise(op.Y.Len(), p.addPart(op))
}

// addPart returns the function that adds elements [from, to).
func (p *program) addPart(op kernels.Add) func(from, to int) {
	a, b, y := p.floats(op.A), p.floats(op.B), p.floats(op.Y)
	if &y[0] == &b[0] {
		a, b = b, a
	}
	k := p.backend.simd
	return func(from, to int) {
		sum := y[from:to]
		if &y[0] != &a[0] {
			copy(sum, a[from:to])
		}
		k.Add(sum, b[from:to])
		if op.ReLU {
			k.ReLUForward(sum, sum)
		}
	}
}
