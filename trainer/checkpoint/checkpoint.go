// Package checkpoint reads and writes tensors as safetensors files
// (https://github.com/huggingface/safetensors), named, shaped and laid out as in a
// PyTorch state_dict, and converts them to and from the device's layout. It also
// reads files that torch.save wrote.
package checkpoint

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"unicode"

	"github.com/nlpodyssey/safetensors"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/internal/atomicfile"
)

// Tensor is a named array in PyTorch's row-major layout. It holds float32 numbers in
// Data, or int64 numbers in Ints if that is not nil.
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

// len returns the number of elements.
func (t Tensor) len() int {
	if t.Ints != nil {
		return len(t.Ints)
	}
	return len(t.Data)
}

// Scalar returns an int64 tensor without axes, such as num_batches_tracked.
func Scalar(name string, value int64) Tensor {
	return Tensor{Name: name, Shape: []int{}, Ints: []int64{value}}
}

// File is the content of a safetensors or PyTorch file. [File.Fit] and [File.Tensor]
// read its tensors on demand.
type File struct {
	Metadata map[string]string // free-form text: model, seed, epoch, version
	sets     []set             // dictionaries of tensors, at least one
}

// Tensor reads the tensor with that name in the file's outermost dictionary of
// tensors. It reports whether the tensor exists and can be read.
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

// ErrBadCheckpoint matches, by errors.Is, the errors of a checkpoint that is missing,
// is damaged or does not fit.
var ErrBadCheckpoint = errors.New("bad or missing checkpoint")

// checkpointError is an error that matches [ErrBadCheckpoint] without repeating its
// text.
type checkpointError struct{ text string }

func (e *checkpointError) Error() string        { return e.text }
func (e *checkpointError) Is(target error) bool { return target == ErrBadCheckpoint }

// longestError is the number of bytes of an error's text that are kept: it may
// contain names from a file, of any length.
const longestError = 4000

// bad returns an [ErrBadCheckpoint] whose text, which may contain names from a file, is
// one line of printable characters.
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

// Save writes the tensors and the metadata to path atomically. The folder must exist.
// Equal arguments give equal bytes. It is an error if two tensors have the same name,
// or a shape does not match the number of elements.
func Save(path string, tensors []Tensor, metadata map[string]string) error {
	return atomicfile.WriteFunc(path, func(w io.Writer) error { return encode(w, tensors, metadata) })
}

func encode(w io.Writer, tensors []Tensor, metadata map[string]string) error {
	views := make(map[string]view, len(tensors))
	for _, t := range tensors {
		v, err := newView(t)
		if err != nil {
			return err
		}
		if _, dup := views[t.Name]; dup || t.Name == "__metadata__" {
			return fmt.Errorf("the tensor name %q is reserved or used twice", t.Name)
		}
		views[t.Name] = v
	}
	return safetensors.SerializeToWriter(views, metadata, w)
}

// view is a tensor in the form that package safetensors writes. The package's own
// TensorView refuses scalars.
type view struct {
	dtype  safetensors.DType
	shape  []uint64
	tensor Tensor
}

func (v view) DType() safetensors.DType { return v.dtype }
func (v view) Shape() []uint64          { return v.shape }
func (v view) DataLen() uint64          { return uint64(v.tensor.len()) * v.dtype.Size() }

// Data returns the elements, little-endian. It makes them each time, so that only those of
// one tensor take memory.
func (v view) Data() []byte {
	data := make([]byte, 0, v.DataLen())
	for _, x := range v.tensor.Data {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(x))
	}
	for _, x := range v.tensor.Ints {
		data = binary.LittleEndian.AppendUint64(data, uint64(x))
	}
	return data
}

func newView(t Tensor) (view, error) {
	v := view{t.dtype(), []uint64{}, t}
	n := 1
	for _, d := range t.Shape {
		if d < 0 {
			return view{}, fmt.Errorf("%s has shape %s", t.Name, shapeString(t.Shape))
		}
		n *= d
		v.shape = append(v.shape, uint64(d))
	}
	if n != t.len() {
		return view{}, fmt.Errorf("%s has %d elements, but its shape %s needs %d", t.Name, t.len(), shapeString(t.Shape), n)
	}
	return v, nil
}
