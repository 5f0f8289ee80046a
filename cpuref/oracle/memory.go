package oracle

import (
	"fmt"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// memory holds a plan's buffers. Buffer b is in the slice of its type, at
// index b, where the other two slices have nil.
type memory struct {
	f32 [][]float32
	u32 [][]uint32
	u8  [][]uint8
}

func newMemory(buffers []kernels.Buffer) memory {
	n := len(buffers)
	m := memory{make([][]float32, n), make([][]uint32, n), make([][]uint8, n)}
	for i, b := range buffers {
		switch b.Type {
		case kernels.Float32:
			m.f32[i] = make([]float32, b.Len)
		case kernels.Uint32:
			m.u32[i] = make([]uint32, b.Len)
		case kernels.Uint8:
			m.u8[i] = make([]uint8, b.Len)
		}
	}
	return m
}

// floats, words and pixels return the elements of a tensor of float32, uint32
// and uint8, or nil for an absent tensor.
func (m *memory) floats(t kernels.Tensor) []float32 { return view(m.f32, t) }
func (m *memory) words(t kernels.Tensor) []uint32   { return view(m.u32, t) }
func (m *memory) pixels(t kernels.Tensor) []uint8   { return view(m.u8, t) }

// factors returns the elements of a tensor as a product in the given precision
// uses them, in float64, in which the product of two of them is exact.
func (m *memory) factors(t kernels.Tensor, precision kernels.Precision) []float64 {
	factors := make([]float64, t.Len())
	for i, x := range m.floats(t) {
		if precision == kernels.Mixed {
			x = kernels.RoundBFloat16(x)
		}
		factors[i] = float64(x)
	}
	return factors
}

func view[T any](buffers [][]T, t kernels.Tensor) []T {
	if t.Absent() {
		return nil
	}
	return buffers[t.Buffer][t.Offset : t.Offset+t.Len()]
}

// state returns the training state that a state tensor holds.
func (m *memory) state(t kernels.Tensor) kernels.State { return kernels.ParseState(m.words(t)) }

// Write implements [kernels.Program].
func (m *memory) Write(t kernels.Tensor, src []byte) error {
	b, err := m.bytes(t)
	if err == nil && len(src) != len(b) {
		err = fmt.Errorf("cannot write %d bytes to %v, which has %d", len(src), t, len(b))
	}
	if err != nil {
		return err
	}
	copy(b, src)
	return nil
}

// Read implements [kernels.Program].
func (m *memory) Read(t kernels.Tensor, dst []byte) error {
	b, err := m.bytes(t)
	if err == nil && len(dst) != len(b) {
		err = fmt.Errorf("cannot read %v, which has %d bytes, into %d", t, len(b), len(dst))
	}
	if err != nil {
		return err
	}
	copy(dst, b)
	return nil
}

// bytes returns the memory of t.
func (m *memory) bytes(t kernels.Tensor) ([]byte, error) {
	if t.Absent() || t.Buffer < 0 || t.Buffer >= len(m.f32) || t.Offset < 0 ||
		t.Offset+t.Len() > len(m.f32[t.Buffer])+len(m.u32[t.Buffer])+len(m.u8[t.Buffer]) {
		return nil, fmt.Errorf("tensor %v at %d lies outside the plan's buffers", t, t.Offset)
	}
	switch {
	case t.Type == kernels.Float32 && m.f32[t.Buffer] != nil:
		return kernels.AsBytes(m.floats(t)), nil
	case t.Type == kernels.Uint32 && m.u32[t.Buffer] != nil:
		return kernels.AsBytes(m.words(t)), nil
	case t.Type == kernels.Uint8 && m.u8[t.Buffer] != nil:
		return kernels.AsBytes(m.pixels(t)), nil
	}
	return nil, fmt.Errorf("tensor %v does not have its buffer's type", t)
}
