package kernels

// ColumnSum sums the rows of X: Y[c] = Σ_r X[r,c]. It is the gradient of a bias
// that is added to every row.
type ColumnSum struct {
	X Tensor // (..., C)
	Y Tensor // (C)
}

// Fill sets every element: X = Value.
type Fill struct {
	X Tensor

	Value float32
}

// Kind implements [Op].
func (ColumnSum) Kind() string { return "ColumnSum" }

// Kind implements [Op].
func (Fill) Kind() string { return "Fill" }

// Operands implements [Op].
func (op ColumnSum) Operands() []Operand { return []Operand{in("X", op.X), out("Y", op.Y)} }

// Operands implements [Op].
func (op Fill) Operands() []Operand { return []Operand{out("X", op.X)} }

// Check implements [Op].
func (op ColumnSum) Check() error { return want("Y", op.Y, op.X.Dim(-1)) }

// Check implements [Op].
func (op Fill) Check() error { return nil }

// FLOPs implements [Op].
func (op ColumnSum) FLOPs() int { return op.X.Len() }

// FLOPs implements [Op].
func (op Fill) FLOPs() int { return 0 }
