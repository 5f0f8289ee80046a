package kernels

import (
	"fmt"
	"strings"
	"unsafe"
)

// DType is the type of a buffer's elements.
type DType uint8

// The element types that ops work on.
const (
	Float32 DType = iota
	Uint32
	Uint8
)

// Size returns the size of one element in bytes.
func (d DType) Size() int {
	if d == Uint8 {
		return 1
	}
	return 4
}

// String returns the type's name in Go.
func (d DType) String() string {
	switch d {
	case Float32:
		return "float32"
	case Uint32:
		return "uint32"
	case Uint8:
		return "uint8"
	}
	return fmt.Sprintf("DType(%d)", uint8(d))
}

// Tensor is a dense, row-major view of a plan's buffer. The zero Tensor is an
// absent optional operand.
type Tensor struct {
	Buffer int   // index into Plan.Buffers
	Offset int   // first element, counted in elements of Type
	Type   DType // element type, the buffer's own
	Shape  []int // extents, outermost first; nil only in the absent tensor
}

// Absent reports whether t is the zero Tensor, an omitted operand.
func (t Tensor) Absent() bool { return t.Shape == nil }

// Len returns the number of elements.
func (t Tensor) Len() int {
	if t.Absent() {
		return 0
	}
	n := 1
	for _, d := range t.Shape {
		n *= d
	}
	return n
}

// Bytes returns the size of the view in bytes.
func (t Tensor) Bytes() int { return t.Len() * t.Type.Size() }

// Dim returns the extent of axis i, counted from the end if i is negative.
func (t Tensor) Dim(i int) int {
	if i < 0 {
		i += len(t.Shape)
	}
	return t.Shape[i]
}

// Matrix returns t's extents as a matrix whose columns are the last axis. An
// activation (N, H, W, C) is N·H·W rows of C columns.
func (t Tensor) Matrix() (rows, cols int) {
	cols = t.Dim(-1)
	if cols == 0 {
		return 0, 0
	}
	return t.Len() / cols, cols
}

// Reshape returns the same elements under another shape. It panics if the
// number of elements differs.
func (t Tensor) Reshape(shape ...int) Tensor {
	r := t
	r.Shape = append([]int{}, shape...)
	if r.Len() != t.Len() {
		panic(fmt.Sprintf("kernels: cannot reshape %v to %v", t.Shape, shape))
	}
	return r
}

// First returns the leading n entries of the first axis: the same buffer at a
// smaller batch. It panics if the tensor has fewer.
func (t Tensor) First(n int) Tensor {
	if n > t.Shape[0] {
		panic(fmt.Sprintf("kernels: first %d of %v", n, t.Shape))
	}
	r := t
	r.Shape = append([]int{n}, t.Shape[1:]...)
	return r
}

// String formats the view as type and shape: "float32(64, 28, 28, 1)".
func (t Tensor) String() string {
	if t.Absent() {
		return "absent"
	}
	return t.Type.String() + "(" + strings.Trim(strings.ReplaceAll(fmt.Sprint(t.Shape), " ", ", "), "[]") + ")"
}

// AsBytes returns the memory of s as bytes, without copying it, for
// [Program.Write] and [Program.Read].
func AsBytes[T float32 | uint32 | uint8](s []T) []byte {
	if len(s) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&s[0])), len(s)*int(unsafe.Sizeof(s[0])))
}
