package kernels

// SiLUForward is the sigmoid linear unit, also called swish (Elfwing et al.
// 2017), with σ(x) = 1/(1 + exp(−x)):
//
//	Y = X·σ(X)
//
// Y may be X's own tensor only if no backward op follows.
type SiLUForward struct {
	X Tensor
	Y Tensor // X's shape
}

// SiLUBackward is the gradient of [SiLUForward]:
//
//	DX = DY·σ(X)·(1 + X·(1 − σ(X)))
//
// DX may be DY's own tensor.
type SiLUBackward struct {
	X  Tensor // input of the forward op
	DY Tensor // X's shape
	DX Tensor // X's shape
}

// Kind implements [Op].
func (SiLUForward) Kind() string { return "SiLUForward" }

// Kind implements [Op].
func (SiLUBackward) Kind() string { return "SiLUBackward" }

// Operands implements [Op].
func (op SiLUForward) Operands() []Operand { return []Operand{in("X", op.X), out("Y", op.Y)} }

// Operands implements [Op].
func (op SiLUBackward) Operands() []Operand {
	return []Operand{in("X", op.X), in("DY", op.DY), out("DX", op.DX)}
}

// Check implements [Op].
func (op SiLUForward) Check() error { return want("Y", op.Y, op.X.Shape...) }

// Check implements [Op].
func (op SiLUBackward) Check() error {
	return first(want("DY", op.DY, op.X.Shape...), want("DX", op.DX, op.X.Shape...))
}

// FLOPs implements [Op].
func (op SiLUForward) FLOPs() int { return 5 * op.X.Len() }

// FLOPs implements [Op].
func (op SiLUBackward) FLOPs() int { return 9 * op.X.Len() }
