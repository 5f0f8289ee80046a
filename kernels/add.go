package kernels

// Add is the sum of two tensors of one shape: Y = A + B, or max(A + B, 0) with
// ReLU. It joins the branches of a residual block, and the gradients of a
// tensor that two ops read. Y may be A's or B's own tensor.
type Add struct {
	A Tensor
	B Tensor // A's shape
	Y Tensor // A's shape

	ReLU bool
}

// Kind implements [Op].
func (Add) Kind() string { return "Add" }

// Operands implements [Op].
func (op Add) Operands() []Operand {
	return []Operand{in("A", op.A), in("B", op.B), out("Y", op.Y)}
}

// Check implements [Op].
func (op Add) Check() error {
	return first(want("B", op.B, op.A.Shape...), want("Y", op.Y, op.A.Shape...))
}

// FLOPs implements [Op].
func (op Add) FLOPs() int { return op.A.Len() }
