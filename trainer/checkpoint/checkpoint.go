// Package checkpoint reads and writes tensors as safetensors files
// (https://github.com/huggingface/safetensors), named, shaped and laid out as
// in a PyTorch state_dict, and converts them from and to the device's layout. It
// also reads PyTorch's own files.
package checkpoint

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
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

// File is the content of a safetensors file.
type File struct {
	Tensors  []Tensor          // in the order of their bytes
	Metadata map[string]string // free-form text: model, seed, epoch, version
}

// Tensor returns the tensor of that name and whether there is one.
func (f *File) Tensor(name string) (Tensor, bool) {
	for _, t := range f.Tensors {
		if t.Name == name {
			return t, true
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

// Load reads a safetensors file of F32 and I64 tensors, or a PyTorch file (zip
// and pickle, as torch.save writes since 1.6) of a state_dict, whose other
// floating-point types become float32. Nothing in it is run. The error is
// [ErrBadCheckpoint] and names the file and what is wrong with it: it cannot
// be read, is cut short or of another format, or holds another type or a
// number that is not finite.
func Load(path string) (*File, error) {
	b, err := readLimited(path)
	if err != nil {
		return nil, bad("checkpoint: %v", err)
	}
	read := decode
	switch {
	case bytes.HasPrefix(b, []byte(zipMagic)):
		read = decodePyTorch
	case bytes.HasPrefix(b, []byte("\x80\x02")):
		return nil, bad("checkpoint %s: a PyTorch file from before version 1.6; load and save it again there", path)
	}
	f, err := read(b)
	if err != nil {
		return nil, bad("checkpoint %s: %v", path, err)
	}
	return f, nil
}

// Larger files and headers than these are refused unread. The largest network
// here has 7 MB of weights under a header of 3 KB.
const (
	maxFile   = 1 << 28
	maxHeader = 1 << 20
)

func readLimited(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("%s has %d bytes, more than the %d of any checkpoint read here", path, info.Size(), maxFile)
	}
	return os.ReadFile(path)
}

func decode(b []byte) (*File, error) {
	if err := checkSizes(b); err != nil {
		return nil, err
	}
	st, err := safetensors.Deserialize(b)
	if err != nil {
		return nil, err
	}
	_, header, err := safetensors.ReadMetadata(b)
	if err != nil {
		return nil, err
	}
	f := &File{Metadata: header.Metadata()}
	for _, named := range st.Tensors() {
		t, err := newTensor(named.Name, named.TensorView)
		if err != nil {
			return nil, err
		}
		f.Tensors = append(f.Tensors, t)
	}
	return f, nil
}

// checkSizes finds files of another format, and those that do not end where
// their header says, for which package safetensors has no exact error.
func checkSizes(b []byte) error {
	const prefix = 8 // bytes of the header's length
	switch {
	case len(b) < prefix:
		return fmt.Errorf("cut short: %d bytes, want at least %d", len(b), prefix)
	}
	n := binary.LittleEndian.Uint64(b)
	if n > maxHeader {
		return fmt.Errorf("not safetensors: its header would have %d bytes, more than %d", n, maxHeader)
	}
	if n > uint64(len(b)-prefix) {
		return fmt.Errorf("cut short: %d bytes, the header alone has %d", len(b), prefix+n)
	}
	var header safetensors.Metadata
	if err := header.UnmarshalJSON(b[prefix : prefix+n]); err != nil {
		return err
	}
	var end uint64
	for _, t := range header.Tensors() {
		end = max(end, t.DataOffsets[1])
	}
	data := uint64(len(b)) - prefix - n
	if data < end {
		return fmt.Errorf("cut short: %d bytes of tensors, the header announces %d", data, end)
	}
	if data > end {
		return fmt.Errorf("%d bytes follow the last tensor", data-end)
	}
	return nil
}

// newTensor copies a tensor out of a file's bytes. The view's data has the
// size of its shape, which Deserialize checks.
func newTensor(name string, v safetensors.TensorView) (Tensor, error) {
	t := Tensor{Name: name, Shape: []int{}}
	for _, d := range v.Shape() {
		if d > math.MaxInt32 { // an empty tensor's other extents can be anything
			return Tensor{}, fmt.Errorf("%s has an extent of %d", name, d)
		}
		t.Shape = append(t.Shape, int(d))
	}
	data := v.Data()
	switch v.DType() {
	case safetensors.F32:
		t.Data = make([]float32, len(data)/4)
		for i := range t.Data {
			x := math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
			if d := x - x; d != 0 { // ±Inf and NaN give NaN
				return Tensor{}, fmt.Errorf("%s: element %d is %v", name, i, x)
			}
			t.Data[i] = x
		}
	case safetensors.I64:
		t.Ints = make([]int64, len(data)/8)
		for i := range t.Ints {
			t.Ints[i] = int64(binary.LittleEndian.Uint64(data[8*i:]))
		}
	default:
		return Tensor{}, fmt.Errorf("%s has elements of type %v, want F32 or I64", name, v.DType())
	}
	return t, nil
}

// Spec is what a model expects of one tensor.
type Spec struct {
	Name    string
	Shape   []int // PyTorch's
	Integer bool  // int64, not float32
}

// Match reports by one error, which is [ErrBadCheckpoint], all that keeps the
// tensors got from being those wanted: missing, unknown, of another shape or
// type. Their order does not matter.
func Match(want []Spec, got []Tensor) error {
	var problems []string
	report := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	unmatched := map[string]Tensor{}
	for _, t := range got {
		unmatched[t.Name] = t
	}
	for _, w := range want {
		t, ok := unmatched[w.Name]
		delete(unmatched, w.Name)
		switch {
		case !ok:
			report("%s %s is missing", w.Name, shapeString(w.Shape))
		case !slices.Equal(t.Shape, w.Shape):
			report("%s has shape %s, expected %s", w.Name, shapeString(t.Shape), shapeString(w.Shape))
		case (t.Ints != nil) != w.Integer:
			report("%s has elements of type %v, expected %v", w.Name, t.dtype(), dtypeOf(w))
		}
	}
	for _, t := range got { // in the file's order
		if _, unknown := unmatched[t.Name]; unknown {
			report("%s %s is unknown", t.Name, shapeString(t.Shape))
		}
	}
	if problems == nil {
		return nil
	}
	return bad("the tensors do not fit the model: %s", strings.Join(problems, "; "))
}

func dtypeOf(s Spec) safetensors.DType {
	if s.Integer {
		return safetensors.I64
	}
	return safetensors.F32
}

// shapeString formats a shape as (32, 1, 3, 3).
func shapeString(shape []int) string {
	return "(" + strings.Trim(strings.ReplaceAll(fmt.Sprint(shape), " ", ", "), "[]") + ")"
}
