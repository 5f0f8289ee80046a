package kernels

// ReLUDropoutForward fuses [ReLUForward] and [DropoutForward]:
// Y = max(X, 0) / (1−P), or 0 where the unit is dropped. Y may share X's
// tensor.
type ReLUDropoutForward struct {
	X     Tensor // (N, U)
	State Tensor // (StateWords) uint32
	Y     Tensor // (N, U)

	P     float32
	Layer uint32 // number of the dropout layer in the model
}

// ReLUDropoutBackward is the gradient of [ReLUDropoutForward]:
// DX = DY / (1−P) where Y > 0, else 0. Dropped units are 0 in Y, so the mask
// need not be drawn again. DX may share DY's tensor.
type ReLUDropoutBackward struct {
	Y  Tensor // (N, U), output of the forward op
	DY Tensor // (N, U)
	DX Tensor // (N, U)

	P float32
}

// Kind implements [Op].
func (ReLUDropoutForward) Kind() string { return "ReLUDropoutForward" }

// Kind implements [Op].
func (ReLUDropoutBackward) Kind() string { return "ReLUDropoutBackward" }

// Operands implements [Op].
func (op ReLUDropoutForward) Operands() []Operand {
	return []Operand{in("X", op.X), in("State", op.State).of(Uint32), out("Y", op.Y)}
}

// Operands implements [Op].
func (op ReLUDropoutBackward) Operands() []Operand {
	return []Operand{in("Y", op.Y), in("DY", op.DY), out("DX", op.DX)}
}

// Check implements [Op].
func (op ReLUDropoutForward) Check() error {
	return first(checkDropout(op.P), rank("X", op.X, 2), want("Y", op.Y, op.X.Shape...), want("State", op.State, StateWords))
}

// Check implements [Op].
func (op ReLUDropoutBackward) Check() error {
	return first(checkDropout(op.P), rank("Y", op.Y, 2), want("DY", op.DY, op.Y.Shape...), want("DX", op.DX, op.Y.Shape...))
}

// FLOPs implements [Op].
func (op ReLUDropoutForward) FLOPs() int { return 2 * op.X.Len() }

// FLOPs implements [Op].
func (op ReLUDropoutBackward) FLOPs() int { return op.Y.Len() }
