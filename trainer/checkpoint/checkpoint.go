// Package checkpoint reads and writes tensors as safetensors files
// (https://github.com/huggingface/safetensors), named, shaped and laid out as
// in a PyTorch state_dict, and converts them from and to the device's layout. It
// also reads PyTorch's own files.
package checkpoint

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"unicode"

	"github.com/nlpodyssey/safetensors"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/internal/atomicfile"
)

// Tensor is a named array in PyTorch's row-major layout. It holds float32
// numbers in Data, or int64 in Ints where that is not nil.
type Tensor struct {
	Name  string
	Shape []int // empty for a scalar
	Data  []float32
	Ints  []int64
}

// dtype returns the tensor's element type.
func (t Tensor) dtype() safetensors.DType {
	if t.Ints != nil {
		return safetensors.I64
	}
	return safetensors.F32
}

// len returns the number of elements held.
func (t Tensor) len() int {
	if t.Ints != nil {
		return len(t.Ints)
	}
	return len(t.Data)
}

// Scalar returns an int64 tensor of no axes, as num_batches_tracked is.
func Scalar(name string, value int64) Tensor {
	return Tensor{Name: name, Shape: []int{}, Ints: []int64{value}}
}

// File is the content of a safetensors or PyTorch file. Its tensors are read when
// [File.Fit] or [File.Tensor] asks for them.
type File struct {
	Metadata map[string]string // free-form text: model, seed, epoch, version
	sets     []set             // dictionaries of tensors, at least one
}

// Tensor reads the tensor of that name in the file's outermost dictionary of
// tensors and reports whether there is one that can be read.
func (f *File) Tensor(name string) (Tensor, bool) {
	for _, e := range f.sets[0].entries {
		if e.name == name && e.read != nil {
			t, err := e.read()
			t.Name = name
			return t, err == nil
		}
	}
	return Tensor{}, false
}

// ErrBadCheckpoint is what errors.Is finds in the error of a checkpoint that
// is missing, damaged or does not fit.
var ErrBadCheckpoint = errors.New("bad or missing checkpoint")

// checkpointError is an error that is [ErrBadCheckpoint] without repeating its
// text.
type checkpointError struct{ text string }

func (e *checkpointError) Error() string        { return e.text }
func (e *checkpointError) Is(target error) bool { return target == ErrBadCheckpoint }

// longestError is what is kept of an error's text, in bytes: the names in it
// are a file's.
const longestError = 4000

// bad makes one line, of characters that print, of whatever a file holds.
func bad(format string, args ...any) error {
	text := fmt.Sprintf(format, args...)
	if len(text) > longestError {
		text = strings.ToValidUTF8(text[:longestError], "") + " …"
	}
	return &checkpointError{strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, text)}
}

// Save writes the tensors and the metadata to path, whole or not at all. The
// folder must exist. Equal arguments give equal bytes.
func Save(path string, tensors []Tensor, metadata map[string]string) error {
	b, err := encode(tensors, metadata)
	if err != nil {
		return fmt.Errorf("save %s: %w", path, err)
	}
	return atomicfile.Write(path, b)
}

func encode(tensors []Tensor, metadata map[string]string) ([]byte, error) {
	views := make(map[string]view, len(tensors))
	for _, t := range tensors {
		v, err := newView(t)
		if err != nil {
			return nil, err
		}
		if _, dup := views[t.Name]; dup || t.Name == "__metadata__" {
			return nil, fmt.Errorf("tensor name %q is taken", t.Name)
		}
		views[t.Name] = v
	}
	return safetensors.Serialize(views, metadata)
}

// view is a tensor as package safetensors writes it. Its own TensorView
// refuses scalars.
type view struct {
	dtype safetensors.DType
	shape []uint64
	data  []byte // little-endian
}

func (v view) DType() safetensors.DType { return v.dtype }
func (v view) Shape() []uint64          { return v.shape }
func (v view) Data() []byte             { return v.data }
func (v view) DataLen() uint64          { return uint64(len(v.data)) }

func newView(t Tensor) (view, error) {
	v := view{dtype: t.dtype(), shape: []uint64{}}
	n := 1
	for _, d := range t.Shape {
		if d < 0 {
			return view{}, fmt.Errorf("%s has shape %s", t.Name, shapeString(t.Shape))
		}
		n *= d
		v.shape = append(v.shape, uint64(d))
	}
	if n != t.len() {
		return view{}, fmt.Errorf("%s has %d elements, its shape %s wants %d", t.Name, t.len(), shapeString(t.Shape), n)
	}
	v.data = make([]byte, 0, t.len()*int(v.dtype.Size()))
	for _, x := range t.Data {
		v.data = binary.LittleEndian.AppendUint32(v.data, math.Float32bits(x))
	}
	for _, x := range t.Ints {
		v.data = binary.LittleEndian.AppendUint64(v.data, uint64(x))
	}
	return v, nil
}
