package kerneltest

import (
	"fmt"
	"math"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// DropoutForward is a case of [kernels.DropoutForward].
type DropoutForward struct{ Dropout }

// DropoutBackward is a case of [kernels.DropoutBackward].
type DropoutBackward struct{ Dropout }

// Dropout is the common part of the dropout cases.
type Dropout struct {
	N, U    int
	P       float32
	Layer   uint32
	Seed    uint64
	Step    uint32
	InPlace bool
}

// String describes the case.
func (c Dropout) String() string {
	return fmt.Sprintf("%s_p%v_layer%d_seed%x_step%d", shapeName([]int{c.N, c.U}, c.InPlace), c.P, c.Layer, c.Seed, c.Step)
}

// Trial implements [Case].
func (c DropoutForward) Trial() *Trial {
	t, from, state, to := c.tensors("X", "Y")
	return t.run(kernels.DropoutForward{X: from, State: state, Y: to, P: c.P, Layer: c.Layer})
}

// Trial implements [Case].
func (c DropoutBackward) Trial() *Trial {
	t, from, state, to := c.tensors("DY", "DX")
	return t.run(kernels.DropoutBackward{DY: from, State: state, DX: to, P: c.P, Layer: c.Layer})
}

// dropoutBound: the scale 1/(1−P) may be off by 2.5 units in the last place
// (Vulkan's division) and the product by half a unit; a unit is 2u. A dropped
// unit is 0, and so is its bound.
func dropoutBound(operand string) Bound {
	return func(r *Results) []float64 {
		bound := make([]float64, len(r.Ref[operand]))
		for i, v := range r.Ref[operand] {
			bound[i] = 7 * u * math.Abs(v)
		}
		return bound
	}
}

// tensors adds the tensors that both ops have. No input is 0, so the masks must be equal.
func (c Dropout) tensors(fromName, toName string) (t *Trial, from, state, to kernels.Tensor) {
	t = newTrial()
	from = t.floats(fromName, uniform(0.5, 2), c.N, c.U)
	state = t.state(kernels.State{Seed: c.Seed, Step: c.Step})
	to = from
	if !c.InPlace {
		to = t.output(toName, c.N, c.U)
	}
	return t, from, state, to
}

func dropoutCases() []Case {
	var cases []Case
	shapes := [][2]int{{1, 1}, {1, 3}, {3, 5}, {7, 33}, {2, 1023}, {65, 64}, {32, 256}, {64, 256}, {64, 128}}
	for i, s := range shapes {
		for k, p := range []float32{0, 0.25, 0.5, 0.9} {
			c := Dropout{N: s[0], U: s[1], P: p, Layer: uint32(i+k) % 3, InPlace: (i+k)%2 == 0,
				Seed: []uint64{42, 0, 0xFEDCBA9876543210}[(i+k)%3], Step: []uint32{0, 9370, 0xFFFFFFFE}[(i+2*k)%3]}
			cases = append(cases, DropoutForward{c}, DropoutBackward{c}, ReLUDropoutForward{c}, ReLUDropoutBackward{c})
		}
	}
	return cases
}
