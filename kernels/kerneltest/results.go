package kerneltest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

const (
	u    = 0x1p-24  // half a unit in the last place of float32, relative
	tiny = 0x1p-120 // absolute tolerance, for devices that flush subnormals to 0
)

// Results are the elements of an op's operands, by name: all of them before it
// ran; its outputs and its scratch after the reference ran it, and after the
// reference ran it on absolute values. Two names of one tensor are two entries.
type Results struct {
	In, Ref, Abs map[string][]float64
	Steps        int // times that the op ran; the state advances in between
	Winograd     int // the extent of the tiles if the backend computed the op as [Winograd] describes, or 0
}

// Bound returns how far each element of an output may lie from the
// reference's.
type Bound func(r *Results) []float64

// Bounds returns the bounds of an op's outputs, by operand. An output that is
// not among them must equal the reference's.
func Bounds(op kernels.Op) map[string]Bound {
	switch op := op.(type) {
	case kernels.ConvForward:
		return convForwardBounds(op)
	case kernels.ConvBatchNormInference:
		return convBatchNormBounds(op)
	case kernels.ConvBackwardInput:
		return map[string]Bound{"DX": winogradBackwardInput(op, sumBound("DX", op.W.Len()/op.W.Dim(-1)))}
	case kernels.ConvBackwardWeight:
		rows, _ := op.DY.Matrix()
		return map[string]Bound{"DW": winogradBackwardWeight(op, sumBound("DW", rows)), "DBias": sumBound("DBias", rows)}
	case kernels.GEMM:
		_, _, k := op.MNK()
		return map[string]Bound{"C": sumBound("C", k+2), "RowSums": sumBound("RowSums", k)} // the bias and the old C are terms too
	case kernels.ColumnSum:
		return map[string]Bound{"Y": sumBound("Y", op.X.Len()/op.X.Dim(-1))}
	case kernels.BatchNormForward:
		return batchNormForwardBounds(op)
	case kernels.BatchNormInference:
		return batchNormInferenceBounds(op)
	case kernels.BatchNormBackward:
		return batchNormBackwardBounds(op)
	case kernels.BatchNormReLUPoolForward:
		return batchNormReLUPoolForwardBounds(op)
	case kernels.BatchNormReLUPoolInference:
		return batchNormReLUPoolInferenceBounds(op)
	case kernels.BatchNormReLUPoolBackward:
		return batchNormReLUPoolBackwardBounds(op)
	case kernels.GELUForward:
		return geluForwardBounds(op)
	case kernels.GELUBackward:
		return geluBackwardBounds(op)
	case kernels.SiLUForward:
		return siluForwardBounds(op)
	case kernels.SiLUBackward:
		return siluBackwardBounds(op)
	case kernels.AvgPoolForward:
		return map[string]Bound{"Y": sumBound("Y", op.KH*op.KW)}
	case kernels.AvgPoolBackward:
		return avgPoolBackwardBounds(op)
	case kernels.MaxPoolBackward:
		return maxPoolBackwardBounds(op)
	case kernels.DropoutForward:
		return map[string]Bound{"Y": dropoutBound("Y")}
	case kernels.DropoutBackward:
		return map[string]Bound{"DX": dropoutBound("DX")}
	case kernels.ReLUDropoutForward:
		return map[string]Bound{"Y": dropoutBound("Y")}
	case kernels.ReLUDropoutBackward:
		return map[string]Bound{"DX": dropoutBound("DX")}
	case kernels.SoftmaxCrossEntropy:
		return lossBounds(op)
	case kernels.Adam:
		return adamBounds(op)
	case kernels.SGD:
		return sgdBounds(op)
	case kernels.MuonMomentum:
		return muonMomentumBounds(op)
	case kernels.MuonNormalize:
		return muonNormalizeBounds(op)
	case kernels.NewtonSchulz:
		return newtonSchulzBounds(op)
	case kernels.MuonStep:
		return muonStepBounds(op)
	case kernels.EMA:
		return emaBounds(op)
	case kernels.AdvanceState:
		return map[string]Bound{"State": stateBound}
	}
	return nil // the op only selects or copies
}

// sumBound is the bound of a sum of k terms whose magnitudes add up to the same
// output in the run on absolute values.
func sumBound(operand string, k int) Bound {
	return func(r *Results) []float64 {
		bound := make([]float64, len(r.Abs[operand]))
		for i, sum := range r.Abs[operand] {
			bound[i] = float64(k+8)*u*sum + tiny
		}
		return bound
	}
}

// once returns f with its result cached, so that the outputs of one op, which
// are compared one after the other, share it.
func once[T any](f func(r *Results) T) func(r *Results) T {
	var last *Results
	var value T
	return func(r *Results) T {
		if r != last {
			last, value = r, f(r)
		}
		return value
	}
}

// compareOutputs compares what an op wrote with the reference, and returns the
// largest ratio of error to bound. The outputs in exact must not differ at all.
func compareOutputs(op kernels.Op, got map[string][]float64, r *Results, exact []string) (worst float64, err error) {
	if conv, ok := op.(kernels.ConvForward); ok && !conv.Mean.Absent() {
		r = withStatisticsOf(got["Y"], conv.Y.Dim(-1), r)
	}
	bounds := Bounds(op)
	var problems []error
	for _, o := range op.Operands() {
		if o.Access&kernels.Write == 0 || o.Tensor.Absent() {
			continue
		}
		var bound []float64
		if b := bounds[o.Name]; b != nil && (!slices.Contains(exact, o.Name) || winogradRounds(op, o.Name, r.Winograd)) {
			bound = b(r)
		}
		ratio, err := Compare(o.Name, o.Tensor.Shape, got[o.Name], r.Ref[o.Name], bound)
		worst, problems = max(worst, ratio), append(problems, err)
	}
	return worst, errors.Join(problems...)
}

// Compare returns the largest ratio of difference to bound, and an error if an
// element of got differs from ref by more than its bound (nil: differs at all).
// Two NaN are equal; a NaN and a number are not.
func Compare(name string, shape []int, got, ref, bound []float64) (worst float64, err error) {
	at, failed := 0, 0
	for i := range ref {
		ratio := errorRatio(got[i], ref[i], bound, i)
		if !(ratio <= 1) {
			failed++
		}
		if ratio > worst {
			worst, at = ratio, i
		}
	}
	if failed == 0 {
		return worst, nil
	}
	allowed := 0.0
	if bound != nil {
		allowed = bound[at]
	}
	return worst, fmt.Errorf("%s: %d of %d elements are off; the worst, %v: got %v, want %v ± %.3g (%.3g times the tolerance)",
		name, failed, len(ref), position(at, shape), got[at], ref[at], allowed, worst)
}

// errorRatio returns |got − ref| / bound[i]: 0 if they are equal, +Inf if there
// is no bound or the result is not a number.
func errorRatio(got, ref float64, bound []float64, i int) float64 {
	if got == ref || (math.IsNaN(got) && math.IsNaN(ref)) {
		return 0
	}
	if bound == nil {
		return math.Inf(1)
	}
	ratio := math.Abs(got-ref) / bound[i]
	if math.IsNaN(ratio) {
		return math.Inf(1)
	}
	return ratio
}

// position returns the indices of element i: "[3 0 27 31]".
func position(i int, shape []int) string {
	index := make([]int, len(shape))
	for axis := len(shape) - 1; axis >= 0; axis-- {
		index[axis] = i % shape[axis]
		i /= shape[axis]
	}
	return fmt.Sprint(index)
}

// decode returns the elements of an operand as float64, which holds both
// float32 and uint32 exactly; raw are its bytes. A state's bias corrections
// are floats.
func decode(o kernels.Operand, raw []byte) []float64 {
	values := make([]float64, o.Tensor.Len())
	switch o.Tensor.Type {
	case kernels.Uint8:
		for i := range values {
			values[i] = float64(raw[i])
		}
	case kernels.Uint32:
		for i := range values {
			values[i] = float64(binary.NativeEndian.Uint32(raw[4*i:]))
		}
		if o.Name == "State" {
			for _, i := range []int{kernels.StateBiasCorrection1, kernels.StateBiasCorrection2} {
				values[i] = float64(math.Float32frombits(binary.NativeEndian.Uint32(raw[4*i:])))
			}
		}
	case kernels.Float32:
		for i := range values {
			values[i] = float64(math.Float32frombits(binary.NativeEndian.Uint32(raw[4*i:])))
		}
	}
	return values
}
