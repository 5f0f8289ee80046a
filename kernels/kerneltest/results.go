package kerneltest

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// Results are what a [Bound] can be made of.
type Results struct {
	trial    *Trial
	before   [][]byte
	after    [][]byte // of the reference
	absolute [][]byte // of the reference on absolute values
}

// In returns an operand's elements before the op, Ref the reference's after
// it, and Abs the reference's after running it on absolute values.
func (r *Results) In(operand string) []float64  { return r.elements(operand, r.before) }
func (r *Results) Ref(operand string) []float64 { return r.elements(operand, r.after) }
func (r *Results) Abs(operand string) []float64 { return r.elements(operand, r.absolute) }

func (r *Results) elements(operand string, buffers [][]byte) []float64 {
	for _, op := range r.trial.Plan.Find(sectionName).Ops {
		for _, o := range op.Operands() {
			if o.Name == operand {
				return decode(o, buffers[o.Tensor.Buffer])
			}
		}
	}
	panic(fmt.Sprintf("kerneltest: %s has no operand %q", r.trial.Op.Kind(), operand))
}

// decode returns the elements of an operand as float64, which holds both
// float32 and uint32 exactly. A state's bias corrections are floats.
func decode(o kernels.Operand, buffer []byte) []float64 {
	values := make([]float64, o.Tensor.Len())
	raw := buffer[o.Tensor.Offset*o.Tensor.Type.Size():]
	for i := range values {
		if o.Tensor.Type == kernels.Uint8 {
			values[i] = float64(raw[i])
			continue
		}
		word := binary.NativeEndian.Uint32(raw[4*i:])
		bias := o.Name == "State" && (i == kernels.StateBiasCorrection1 || i == kernels.StateBiasCorrection2)
		if o.Tensor.Type == kernels.Float32 || bias {
			values[i] = float64(math.Float32frombits(word))
		} else {
			values[i] = float64(word)
		}
	}
	return values
}

// sumBound is the bound of a sum of k terms whose magnitudes add up to the
// same output of the run on absolute values.
func sumBound(operand string, k int) Bound {
	return func(r *Results) []float64 {
		bound := r.Abs(operand)
		for i := range bound {
			bound[i] = float64(k+8)*u*bound[i] + tiny
		}
		return bound
	}
}

// relativeBound allows ulps units in the last place, a unit being 2u.
func relativeBound(operand string, ulps float64) Bound {
	return func(r *Results) []float64 {
		bound := r.Ref(operand)
		for i := range bound {
			bound[i] = ulps * 2 * u * math.Abs(bound[i])
		}
		return bound
	}
}
