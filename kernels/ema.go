package kernels

import "fmt"

// EMA is one step of an exponential moving average of parameters, or of running
// statistics. With t = Step of State:
//
//	Average ← Average + r·(Param − Average),  r = max(1 − Decay, 9/(10+t))
//
// The second term of r is 1 − (1+t)/(10+t), the ramp of TensorFlow's
// ExponentialMovingAverage: early averages soon forget the initial parameters.
// 1−Decay is computed in float64 and rounded once to float32.
type EMA struct {
	Param   Tensor // (L)
	Average Tensor // (L), updated
	State   Tensor // (StateWords) uint32

	Decay float64
}

// Kind implements [Op].
func (EMA) Kind() string { return "EMA" }

// Operands implements [Op].
func (op EMA) Operands() []Operand {
	return []Operand{in("Param", op.Param), inout("Average", op.Average), in("State", op.State).of(Uint32)}
}

// Check implements [Op].
func (op EMA) Check() error {
	if !(op.Decay >= 0 && op.Decay < 1) {
		return fmt.Errorf("decay %v is outside [0, 1)", op.Decay)
	}
	return first(rank("Param", op.Param, 1), want("Average", op.Average, op.Param.Shape...), want("State", op.State, StateWords))
}

// FLOPs implements [Op].
func (op EMA) FLOPs() int { return 3 * op.Param.Len() }
