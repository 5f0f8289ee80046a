package kerneltest

import "github.com/fmnist-gpu/fmnist-gpu/kernels"

// ReLUDropoutForward is a case of [kernels.ReLUDropoutForward].
type ReLUDropoutForward struct{ Dropout }

// ReLUDropoutBackward is a case of [kernels.ReLUDropoutBackward].
type ReLUDropoutBackward struct{ Dropout }

// Trial implements [Case]. X is negative, zero or positive, and never small
// unless zero, so the zeros of Y must be the reference's.
func (c ReLUDropoutForward) Trial() *Trial {
	t := newTrial()
	op := kernels.ReLUDropoutForward{X: t.floats("X", mixed, c.N, c.U), P: c.P, Layer: c.Layer}
	op.State = t.state(kernels.State{Seed: c.Seed, Step: c.Step})
	op.Y = op.X
	if !c.InPlace {
		op.Y = t.output("Y", c.N, c.U)
	}
	return t.run(op)
}

// Trial implements [Case].
func (c ReLUDropoutBackward) Trial() *Trial {
	t := newTrial()
	op := kernels.ReLUDropoutBackward{Y: t.floats("Y", mixed, c.N, c.U), DY: t.floats("DY", mixed, c.N, c.U), P: c.P}
	op.DX = op.DY
	if !c.InPlace {
		op.DX = t.output("DX", c.N, c.U)
	}
	return t.run(op)
}
