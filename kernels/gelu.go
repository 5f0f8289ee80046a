package kernels

// GELUForward is the Gaussian error linear unit (Hendrycks & Gimpel 2016) in
// its exact form, PyTorch's default, with Φ the standard normal distribution's
// cumulative function:
//
//	Y = X·Φ(X) = X·(1 + erf(X/√2))/2
//
// Y may be X's own tensor only if no backward op follows.
type GELUForward struct {
	X Tensor
	Y Tensor // X's shape
}

// GELUBackward is the gradient of [GELUForward], with φ the standard normal
// density:
//
//	DX = DY·(Φ(X) + X·φ(X)),  φ(x) = exp(−x²/2)/√(2π)
//
// DX may be DY's own tensor.
type GELUBackward struct {
	X  Tensor // input of the forward op
	DY Tensor // X's shape
	DX Tensor // X's shape
}

// Kind implements [Op].
func (GELUForward) Kind() string { return "GELUForward" }

// Kind implements [Op].
func (GELUBackward) Kind() string { return "GELUBackward" }

// Operands implements [Op].
func (op GELUForward) Operands() []Operand { return []Operand{in("X", op.X), out("Y", op.Y)} }

// Operands implements [Op].
func (op GELUBackward) Operands() []Operand {
	return []Operand{in("X", op.X), in("DY", op.DY), out("DX", op.DX)}
}

// Check implements [Op].
func (op GELUForward) Check() error { return want("Y", op.Y, op.X.Shape...) }

// Check implements [Op].
func (op GELUBackward) Check() error {
	return first(want("DY", op.DY, op.X.Shape...), want("DX", op.DX, op.X.Shape...))
}

// FLOPs implements [Op].
func (op GELUForward) FLOPs() int { return 12 * op.X.Len() }

// FLOPs implements [Op].
func (op GELUBackward) FLOPs() int { return 15 * op.X.Len() }
