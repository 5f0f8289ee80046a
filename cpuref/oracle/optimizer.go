package oracle

import (
	"fmt"
	"math"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

func adam(m *memory, op kernels.Adam) error {
	param, grad, first, second := m.floats(op.Param), m.floats(op.Grad), m.floats(op.M), m.floats(op.V)
	s := m.state(op.State)
	lr, err := learningRate(m, op.LearningRates, s)
	if err != nil {
		return err
	}
	shares := m.floats(op.DecayShares)
	beta1, rest1 := decay(op.Beta1)
	beta2, rest2 := decay(op.Beta2)
	c1, c2 := float64(s.BiasCorrection1), float64(s.BiasCorrection2)
	for i := range param {
		l2, keep := weightDecay(op.WeightDecay, shares, i), 1.0
		if op.Decoupled {
			l2, keep = 0, 1-lr*l2
		}
		g := float64(grad[i]) + l2*float64(param[i])
		mean := beta1*float64(first[i]) + rest1*g
		square := beta2*float64(second[i]) + rest2*g*g
		step := lr / c1 * mean / (math.Sqrt(square)/math.Sqrt(c2) + float64(op.Eps))
		first[i], second[i] = float32(mean), float32(square)
		param[i] = float32(keep*float64(param[i]) - step)
	}
	return nil
}

// weightDecay returns the weight decay of parameter i.
func weightDecay(decay float32, shares []float32, i int) float64 {
	if shares == nil {
		return float64(decay)
	}
	return float64(decay) * float64(shares[i/kernels.DecayGroup])
}

// decay returns β and 1−β as the float32 values that every device uses.
func decay(beta float64) (b, rest float64) {
	return float64(float32(beta)), float64(float32(1 - beta))
}

func sgd(m *memory, op kernels.SGD) error {
	param, grad, buf := m.floats(op.Param), m.floats(op.Grad), m.floats(op.M)
	lr, err := learningRate(m, op.LearningRates, m.state(op.State))
	if err != nil {
		return err
	}
	momentum, shares := float64(op.Momentum), m.floats(op.DecayShares)
	for i := range param {
		g := float64(grad[i]) + weightDecay(op.WeightDecay, shares, i)*float64(param[i])
		direction := g
		if buf != nil {
			v := momentum*float64(buf[i]) + g
			buf[i] = float32(v)
			direction = v
			if op.Nesterov {
				direction = g + momentum*v
			}
		}
		param[i] = float32(float64(param[i]) - lr*direction)
	}
	return nil
}

// learningRate returns the rate of the state's slot.
func learningRate(m *memory, rates kernels.Tensor, s kernels.State) (float64, error) {
	if int(s.Slot) >= rates.Len() {
		return 0, fmt.Errorf("slot %d is outside LearningRates, which has %d slots", s.Slot, rates.Len())
	}
	return float64(m.floats(rates)[s.Slot]), nil
}
