package kernels

import (
	"errors"
	"fmt"
	"math"
)

// Precision is the arithmetic of a convolution or a matrix product. Tensors
// are float32 in either.
type Precision uint8

const (
	// FP32 multiplies and adds in float32.
	FP32 Precision = iota
	// Mixed rounds both factors of every product with [RoundBFloat16] first,
	// and multiplies and adds in float32. What is not a factor, a bias or the
	// old contents of an output, is not rounded. Factors, products and sums
	// below 2⁻¹²⁶ in magnitude may count as 0.
	Mixed
)

// precisions are the names that users know.
var precisions = [...]string{FP32: "fp32", Mixed: "mixed"}

// String returns the precision's name, "fp32" or "mixed".
func (p Precision) String() string {
	if int(p) < len(precisions) {
		return precisions[p]
	}
	return fmt.Sprintf("Precision(%d)", uint8(p))
}

// MarshalText writes the precision's name, in JSON for one.
func (p Precision) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// ParsePrecision returns the precision of a name.
func ParsePrecision(name string) (Precision, error) {
	for p, n := range precisions {
		if n == name {
			return Precision(p), nil
		}
	}
	return 0, fmt.Errorf("unknown precision %q: want fp32 or mixed", name)
}

// PrecisionError is in the chain of [Backend].Compile's error where the device
// lacks the arithmetic that an op asks for.
type PrecisionError struct{ Reason string }

// Error says that and why.
func (e *PrecisionError) Error() string { return "the device lacks this precision: " + e.Reason }

// CheckPrecision returns a [PrecisionError] where a backend does not compute
// in the given precision. It compiles a product to find out.
func CheckPrecision(b Backend, precision Precision) error {
	var p Plan
	tensor := func(name string) Tensor { return p.Tensor(name, Float32, 1, 1) }
	p.Section("product").Add(GEMM{A: tensor("A"), B: tensor("B"), C: tensor("C"), Precision: precision})
	program, err := b.Compile(&p)
	if lacking := (*PrecisionError)(nil); errors.As(err, &lacking) {
		return lacking // without the section's name
	}
	if err != nil {
		return err
	}
	return program.Close()
}

// RoundBFloat16 returns x in bfloat16, the upper half of a float32: the
// nearest such number, of two the one whose last bit is 0. NaN stays NaN.
func RoundBFloat16(x float32) float32 {
	bits := math.Float32bits(x)
	if x != x {
		return math.Float32frombits(bits&0xffff0000 | 0x00400000) // quiet
	}
	bits += 0x7fff + bits>>16&1
	return math.Float32frombits(bits & 0xffff0000)
}

// PrecisionOf returns an op's precision, FP32 for ops without a choice.
func PrecisionOf(op Op) Precision {
	switch op := op.(type) {
	case ConvForward:
		return op.Precision
	case ConvBackwardInput:
		return op.Precision
	case ConvBackwardWeight:
		return op.Precision
	case GEMM:
		return op.Precision
	}
	return FP32
}
