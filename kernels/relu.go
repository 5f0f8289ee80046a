package kernels

// ReLUForward is Y = max(X, 0). Y may share X's tensor.
type ReLUForward struct {
	X Tensor
	Y Tensor // X's shape
}

// ReLUBackward passes the gradient where the output was positive:
// DX = DY where Y > 0, else 0. DX may share DY's tensor.
type ReLUBackward struct {
	Y  Tensor // output of the forward op
	DY Tensor // Y's shape
	DX Tensor // Y's shape
}

// Kind implements [Op].
func (ReLUForward) Kind() string { return "ReLUForward" }

// Kind implements [Op].
func (ReLUBackward) Kind() string { return "ReLUBackward" }

// Operands implements [Op].
func (op ReLUForward) Operands() []Operand { return []Operand{in("X", op.X), out("Y", op.Y)} }

// Operands implements [Op].
func (op ReLUBackward) Operands() []Operand {
	return []Operand{in("Y", op.Y), in("DY", op.DY), out("DX", op.DX)}
}

// Check implements [Op].
func (op ReLUForward) Check() error { return want("Y", op.Y, op.X.Shape...) }

// Check implements [Op].
func (op ReLUBackward) Check() error {
	return first(want("DY", op.DY, op.Y.Shape...), want("DX", op.DX, op.Y.Shape...))
}

// FLOPs implements [Op].
func (op ReLUForward) FLOPs() int { return op.X.Len() }

// FLOPs implements [Op].
func (op ReLUBackward) FLOPs() int { return op.Y.Len() }
