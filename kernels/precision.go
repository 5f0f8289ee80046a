package kernels

import (
	"errors"
	"fmt"
	"math"
)

// Precision is the arithmetic of a convolution or matrix product. Tensors are
// always float32.
type Precision uint8

const (
	// FP32 multiplies and adds in float32.
	FP32 Precision = iota
	// Mixed rounds both factors of every product with [RoundBFloat16], then
	// multiplies and adds in float32. Biases and the old contents of an output
	// are not rounded. Factors, products and sums below 2⁻¹²⁶ in magnitude may
	// be flushed to 0, and factors below 2⁻²⁷ of their tensor's largest may lose bits.
	Mixed
)

// precisions are the names in settings and output.
var precisions = [...]string{FP32: "fp32", Mixed: "mixed"}

// String returns the precision's name, "fp32" or "mixed".
func (p Precision) String() string {
	if int(p) < len(precisions) {
		return precisions[p]
	}
	return fmt.Sprintf("Precision(%d)", uint8(p))
}

// MarshalText returns the precision's name; it lets encoding/json write it.
func (p Precision) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// ParsePrecision returns the precision with the given name.
func ParsePrecision(name string) (Precision, error) {
	for p, n := range precisions {
		if n == name {
			return Precision(p), nil
		}
	}
	return 0, fmt.Errorf("unknown precision %q: want fp32 or mixed", name)
}

// PrecisionError is in the chain of [Backend].Compile's error if the device
// lacks the arithmetic that an op requires.
type PrecisionError struct{ Reason string }

// Error returns a message that includes the reason.
func (e *PrecisionError) Error() string { return "the device lacks this precision: " + e.Reason }

// CheckPrecision returns a [PrecisionError] if a backend does not support the
// given precision. It compiles a small product to find out.
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

// RoundBFloat16 rounds x to bfloat16, the upper half of a float32: to nearest,
// ties to even. NaN stays NaN.
func RoundBFloat16(x float32) float32 {
	bits := math.Float32bits(x)
	if x != x {
		return math.Float32frombits(bits&0xffff0000 | 0x00400000) // quiet
	}
	bits += 0x7fff + bits>>16&1
	return math.Float32frombits(bits & 0xffff0000)
}

// PrecisionOf returns an op's precision, FP32 for ops without that field.
func PrecisionOf(op Op) Precision {
	switch op := op.(type) {
	case ConvForward:
		return op.Precision
	case ConvBatchNormInference:
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
