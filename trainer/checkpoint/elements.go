package checkpoint

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/x448/float16"
)

// element is how an element type is stored, little-endian: as a floating-point
// number or as an integer.
type element struct {
	size   int // bytes
	number func(b []byte) float32
	whole  func(b []byte) int64
}

// elements are the supported types, by their names in PyTorch.
var elements = map[string]element{
	"float32": {size: 4, number: func(b []byte) float32 { return math.Float32frombits(binary.LittleEndian.Uint32(b)) }},
	"float64": {size: 8, number: func(b []byte) float32 { return float32(math.Float64frombits(binary.LittleEndian.Uint64(b))) }},
	"float16": {size: 2, number: func(b []byte) float32 { return float16.Frombits(binary.LittleEndian.Uint16(b)).Float32() }},
	"bfloat16": {size: 2, number: func(b []byte) float32 {
		return math.Float32frombits(uint32(binary.LittleEndian.Uint16(b)) << 16)
	}},
	"int64": {size: 8, whole: func(b []byte) int64 { return int64(binary.LittleEndian.Uint64(b)) }},
	"int32": {size: 4, whole: func(b []byte) int64 { return int64(int32(binary.LittleEndian.Uint32(b))) }},
	"int16": {size: 2, whole: func(b []byte) int64 { return int64(int16(binary.LittleEndian.Uint16(b))) }},
	"int8":  {size: 1, whole: func(b []byte) int64 { return int64(int8(b[0])) }},
	"uint8": {size: 1, whole: func(b []byte) int64 { return int64(b[0]) }},
	"bool":  {size: 1, whole: func(b []byte) int64 { return int64(b[0]) }},

	"uint16": {size: 2, whole: func(b []byte) int64 { return int64(binary.LittleEndian.Uint16(b)) }},
	"uint32": {size: 4, whole: func(b []byte) int64 { return int64(binary.LittleEndian.Uint32(b)) }},
	"uint64": {size: 8, whole: func(b []byte) int64 { return int64(binary.LittleEndian.Uint64(b)) }},
}

// isFloat reports whether an element type is a supported floating-point type.
func isFloat(dtype string) bool { return elements[dtype].number != nil }

// unreadable returns the error of an unsupported element type.
func unreadable(dtype string) error {
	if dtype == "" {
		dtype = "an unknown type"
	}
	return fmt.Errorf("elements of %s are not supported; convert them with .float() and save again", dtype)
}

// tensor returns a tensor of count elements; at returns the bytes of element i. It is
// an error if a number is not finite.
func (e element) tensor(shape []int, count int, at func(i int) []byte) (Tensor, error) {
	t := Tensor{Shape: shape}
	if e.whole != nil {
		t.Ints = make([]int64, count)
		for i := range t.Ints {
			t.Ints[i] = e.whole(at(i))
		}
		return t, nil
	}
	t.Data = make([]float32, count)
	for i := range t.Data {
		x := e.number(at(i))
		if d := x - x; d != 0 { // ±Inf and NaN give NaN
			return Tensor{}, fmt.Errorf("element %d is %v", i, x)
		}
		t.Data[i] = x
	}
	return t, nil
}
