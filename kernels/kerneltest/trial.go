package kerneltest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math/rand/v2"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

const (
	sectionName = "op"
	// fence is the least number of elements before and after each tensor.
	fence = 64
	// poison fills outputs and fences; as float32 it is a NaN.
	poison = 0xFFDEADBE
	// wordPoison fills those of type uint32, bytePoison those of type uint8.
	wordPoison = 0xDEADBEEF
	bytePoison = 0xDE
)

// Case is one test of one op.
type Case interface {
	// String returns a name that is unique among the cases of its op.
	String() string
	// Trial turns the case into a plan and data.
	Trial() *Trial
}

// Trial is a case as a plan, whose only section runs one op (followed by
// AdvanceState if the case takes several steps), and the contents of the plan's
// buffers.
type Trial struct {
	Plan kernels.Plan
	Op   kernels.Op

	steps   int      // runs of the section
	exact   []string // outputs in which nothing is rounded, given the data
	sources []source
}

// source describes what a buffer's tensor holds before the op.
type source struct {
	name   string
	tensor kernels.Tensor
	// Exactly one of these is set, or none for an output.
	float  func(r *rand.Rand, i int) float32
	word   func(r *rand.Rand, i int) uint32
	pixel  func(r *rand.Rand, i int) uint8
	derive func(earlier map[string][]float32) []float32
}

func newTrial() *Trial { return &Trial{steps: 1} }

// floats, words and pixels add an input whose element i is fill(r, i).
func (t *Trial) floats(name string, fill func(r *rand.Rand, i int) float32, shape ...int) kernels.Tensor {
	return t.add(source{name: name, float: fill}, kernels.Float32, shape)
}

func (t *Trial) words(name string, fill func(r *rand.Rand, i int) uint32, shape ...int) kernels.Tensor {
	return t.add(source{name: name, word: fill}, kernels.Uint32, shape)
}

func (t *Trial) pixels(name string, fill func(r *rand.Rand, i int) uint8, shape ...int) kernels.Tensor {
	return t.add(source{name: name, pixel: fill}, kernels.Uint8, shape)
}

// derived adds an input that is computed from the inputs added before it.
func (t *Trial) derived(name string, from func(earlier map[string][]float32) []float32, shape ...int) kernels.Tensor {
	return t.add(source{name: name, derive: from}, kernels.Float32, shape)
}

// state adds a state tensor.
func (t *Trial) state(s kernels.State) kernels.Tensor {
	words := s.Words()
	return t.words("State", func(_ *rand.Rand, i int) uint32 { return words[i] }, kernels.StateWords)
}

// output adds a poisoned tensor.
func (t *Trial) output(name string, shape ...int) kernels.Tensor {
	return t.add(source{name: name}, kernels.Float32, shape)
}

func (t *Trial) outputWords(name string, shape ...int) kernels.Tensor {
	return t.add(source{name: name}, kernels.Uint32, shape)
}

func (t *Trial) add(s source, typ kernels.DType, shape []int) kernels.Tensor {
	arena := t.Plan.Arena(s.name, typ)
	arena.Tensor(fence)
	s.tensor = arena.Tensor(shape...)
	arena.Tensor(fence)
	t.sources = append(t.sources, s)
	return s.tensor
}

// run sets the op under test, and ops that follow it.
func (t *Trial) run(op kernels.Op, then ...kernels.Op) *Trial {
	t.Op = op
	t.Plan.Section(sectionName).Add(op)
	t.Plan.Section(sectionName).Add(then...)
	return t
}

// whole returns the tensor of a whole buffer, fences included.
func (t *Trial) whole(buffer int) kernels.Tensor {
	b := t.Plan.Buffers[buffer]
	return kernels.Tensor{Buffer: buffer, Type: b.Type, Shape: []int{b.Len}}
}

// contents returns every buffer as it is before the op, always the same for a
// given seed.
func (t *Trial) contents(seed string) [][]byte {
	buffers := make([][]byte, len(t.sources))
	earlier := map[string][]float32{}
	for i, s := range t.sources {
		buffers[i] = poisoned(t.Plan.Buffers[i])
		inner := s.inner(buffers[i])
		h := fnv.New64a()
		fmt.Fprint(h, seed, s.name)
		r := rand.New(rand.NewPCG(h.Sum64(), 0))
		switch {
		case s.float != nil || s.derive != nil:
			v := s.generate(r, earlier)
			earlier[s.name] = v
			copy(inner, kernels.AsBytes(v))
		case s.word != nil:
			for k := range s.tensor.Len() {
				binary.NativeEndian.PutUint32(inner[4*k:], s.word(r, k))
			}
		case s.pixel != nil:
			for k := range inner {
				inner[k] = s.pixel(r, k)
			}
		}
	}
	return buffers
}

// magnitudes returns a copy of contents with the absolute values of float
// inputs.
func (t *Trial) magnitudes(contents [][]byte) [][]byte {
	buffers := make([][]byte, len(contents))
	for i, s := range t.sources {
		buffers[i] = bytes.Clone(contents[i])
		if s.float != nil || s.derive != nil {
			clearSigns(s.inner(buffers[i]))
		}
	}
	return buffers
}

// inner returns the part of the source's buffer that its tensor occupies.
func (s *source) inner(buffer []byte) []byte {
	return buffer[s.tensor.Offset*s.tensor.Type.Size():][:s.tensor.Bytes()]
}

func (s *source) generate(r *rand.Rand, earlier map[string][]float32) []float32 {
	if s.derive != nil {
		return s.derive(earlier)
	}
	v := make([]float32, s.tensor.Len())
	for k := range v {
		v[k] = s.float(r, k)
	}
	return v
}

func poisoned(b kernels.Buffer) []byte {
	element := []byte{bytePoison}
	switch b.Type {
	case kernels.Float32:
		element = binary.NativeEndian.AppendUint32(nil, poison)
	case kernels.Uint32:
		element = binary.NativeEndian.AppendUint32(nil, wordPoison)
	}
	return bytes.Repeat(element, b.Len)
}

// execute writes the buffers, runs the section and returns the resulting
// buffers, repeats times from the same start.
func (t *Trial) execute(b kernels.Backend, before [][]byte, repeats int) ([][][]byte, error) {
	program, err := b.Compile(&t.Plan)
	if err != nil {
		return nil, err
	}
	defer program.Close()
	after := make([][][]byte, repeats)
	for r := range after {
		for i := range before {
			if err := program.Write(t.whole(i), before[i]); err != nil {
				return nil, err
			}
		}
		if err := program.Run(sectionName, t.steps); err != nil {
			return nil, err
		}
		after[r] = make([][]byte, len(before))
		for i := range before {
			after[r][i] = make([]byte, len(before[i]))
			if err := program.Read(t.whole(i), after[r][i]); err != nil {
				return nil, err
			}
		}
	}
	return after, nil
}

// outputs executes the trial once and returns the buffers that it writes, and nil
// for the others.
func (t *Trial) outputs(b kernels.Backend, before [][]byte) ([][]byte, error) {
	after, err := t.execute(b, before, 1)
	if err != nil {
		return nil, err
	}
	for i := range after[0] {
		if !t.written(i) {
			after[0][i] = nil
		}
	}
	return after[0], nil
}

// ops returns the ops of the section, the one under test first.
func (t *Trial) ops() []kernels.Op { return t.Plan.Find(sectionName).Ops }

// changed is the access to what an op may leave changed.
const changed = kernels.Write | kernels.Scratch

// written reports whether an op of the section changes the buffer.
func (t *Trial) written(buffer int) bool {
	for _, op := range t.ops() {
		for _, o := range op.Operands() {
			if o.Access&changed != 0 && !o.Tensor.Absent() && o.Tensor.Buffer == buffer {
				return true
			}
		}
	}
	return false
}

// values returns the elements of the operands of an op that have the given
// access, by name; nil buffers give nil.
func (t *Trial) values(op kernels.Op, access kernels.Access, buffers [][]byte) map[string][]float64 {
	if buffers == nil {
		return nil
	}
	values := map[string][]float64{}
	for _, o := range op.Operands() {
		if o.Access&access != 0 && !o.Tensor.Absent() {
			values[o.Name] = decode(o, buffers[o.Tensor.Buffer][o.Tensor.Offset*o.Tensor.Type.Size():])
		}
	}
	return values
}
