package kernels

import "fmt"

// DropoutForward zeroes each unit with probability P and scales the others by
// 1/(1−P) (inverted dropout). Unit u of sample s at step t is dropped if
//
//	Philox4x32({u/4, s, t, PurposeDropout+Layer}, seed)[u%4] < DropoutThreshold(P)
//
// with step and seed from State. The mask is not stored; the backward op draws
// it again. Y may share X's tensor.
type DropoutForward struct {
	X     Tensor // (N, U)
	State Tensor // (StateWords) uint32
	Y     Tensor // (N, U)

	P     float32
	Layer uint32 // number of the dropout layer in the model
}

// DropoutBackward applies the mask and scale of the forward op with the same
// Layer to the gradient. DX may share DY's tensor.
type DropoutBackward struct {
	DY    Tensor // (N, U)
	State Tensor // (StateWords) uint32
	DX    Tensor // (N, U)

	P     float32
	Layer uint32
}

// DropoutThreshold returns P·2³² rounded down; a unit is dropped if its random
// word is below it.
func DropoutThreshold(p float32) uint32 { return uint32(float64(p) * (1 << 32)) }

// Kind implements [Op].
func (DropoutForward) Kind() string { return "DropoutForward" }

// Kind implements [Op].
func (DropoutBackward) Kind() string { return "DropoutBackward" }

// Operands implements [Op].
func (op DropoutForward) Operands() []Operand {
	return []Operand{in("X", op.X), in("State", op.State).of(Uint32), out("Y", op.Y)}
}

// Operands implements [Op].
func (op DropoutBackward) Operands() []Operand {
	return []Operand{in("DY", op.DY), in("State", op.State).of(Uint32), out("DX", op.DX)}
}

// Check implements [Op].
func (op DropoutForward) Check() error {
	return first(checkDropout(op.P), rank("X", op.X, 2), want("Y", op.Y, op.X.Shape...), want("State", op.State, StateWords))
}

// Check implements [Op].
func (op DropoutBackward) Check() error {
	return first(checkDropout(op.P), rank("DY", op.DY, 2), want("DX", op.DX, op.DY.Shape...), want("State", op.State, StateWords))
}

func checkDropout(p float32) error {
	if !(p >= 0 && p < 1) {
		return fmt.Errorf("dropout probability %v is outside [0, 1)", p)
	}
	return nil
}

// FLOPs implements [Op].
func (op DropoutForward) FLOPs() int { return op.X.Len() }

// FLOPs implements [Op].
func (op DropoutBackward) FLOPs() int { return op.DY.Len() }
