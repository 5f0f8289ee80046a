package oracle

import (
	"math"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// bench builds a small plan for the oracle and runs it.
type bench struct {
	*testing.T
	plan    kernels.Plan
	floats  map[int][]float32 // initial contents by buffer
	words   map[int][]uint32
	pixels  map[int][]uint8
	program kernels.Program
}

func newBench(t *testing.T) *bench {
	return &bench{T: t, floats: map[int][]float32{}, words: map[int][]uint32{}, pixels: map[int][]uint8{}}
}

// f32, u32 and u8 add a tensor with its contents, or zeros without values.
func (b *bench) f32(values []float32, shape ...int) kernels.Tensor {
	t := b.plan.Tensor("f32", kernels.Float32, shape...)
	b.floats[t.Buffer] = values
	return t
}

func (b *bench) u32(values []uint32, shape ...int) kernels.Tensor {
	t := b.plan.Tensor("u32", kernels.Uint32, shape...)
	b.words[t.Buffer] = values
	return t
}

func (b *bench) u8(values []uint8, shape ...int) kernels.Tensor {
	t := b.plan.Tensor("u8", kernels.Uint8, shape...)
	b.pixels[t.Buffer] = values
	return t
}

func (b *bench) state(s kernels.State) kernels.Tensor { return b.u32(s.Words(), kernels.StateWords) }

// compile prepares the plan and writes the contents.
func (b *bench) compile() {
	b.Helper()
	program, err := New().Compile(&b.plan)
	if err != nil {
		b.Fatal(err)
	}
	b.program = program
	for i, buffer := range b.plan.Buffers {
		whole := kernels.Tensor{Buffer: i, Type: buffer.Type, Shape: []int{buffer.Len}}
		for _, content := range [][]byte{kernels.AsBytes(b.floats[i]), kernels.AsBytes(b.words[i]), b.pixels[i]} {
			if content == nil {
				continue
			}
			if err := program.Write(whole, content); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// run compiles a plan of the ops and runs it once.
func (b *bench) run(ops ...kernels.Op) {
	b.Helper()
	b.plan.Section("ops").Add(ops...)
	b.compile()
	b.section("ops")
}

func (b *bench) section(name string) {
	b.Helper()
	if err := b.program.Run(name, 1); err != nil {
		b.Fatal(err)
	}
}

func (b *bench) read(t kernels.Tensor) []float32 {
	b.Helper()
	values := make([]float32, t.Len())
	if err := b.program.Read(t, kernels.AsBytes(values)); err != nil {
		b.Fatal(err)
	}
	return values
}

func (b *bench) readWords(t kernels.Tensor) []uint32 {
	b.Helper()
	values := make([]uint32, t.Len())
	if err := b.program.Read(t, kernels.AsBytes(values)); err != nil {
		b.Fatal(err)
	}
	return values
}

// want compares with numbers worked out by hand, to the precision of float32; it
// wants a NaN for a NaN.
func (b *bench) want(name string, t kernels.Tensor, want ...float64) {
	b.Helper()
	got := b.read(t)
	for i, w := range want {
		if math.IsNaN(w) && math.IsNaN(float64(got[i])) {
			continue
		}
		if diff := math.Abs(float64(got[i]) - w); !(diff <= 0x1p-23*math.Abs(w)) {
			b.Errorf("%s[%d] is %v, want %v", name, i, got[i], w)
		}
	}
	if len(got) != len(want) {
		b.Errorf("%s has %d elements, want %d", name, len(got), len(want))
	}
}

func (b *bench) wantWords(name string, t kernels.Tensor, want ...uint32) {
	b.Helper()
	got := b.readWords(t)
	for i, w := range want {
		if got[i] != w {
			b.Errorf("%s is %v, want %v", name, got, want)
			return
		}
	}
}
