package checkpoint

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"

	"github.com/nlpodyssey/safetensors"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/internal/limitedfile"
)

// Load reads a safetensors file, or a file that torch.save of PyTorch 1.6 or later
// wrote (zip and pickle). A PyTorch file may contain anything besides a dictionary of
// tensors; no code in it is run. The error is [ErrBadCheckpoint] and says what is
// wrong with the file, or what it is instead, and what to do. Use [File.Fit] to find
// out whether its tensors suit a network.
func Load(path string) (*File, error) {
	b, err := readLimited(path)
	if err != nil {
		return nil, bad("checkpoint %s: %v", path, cause(err))
	}
	read := decode
	if bytes.HasPrefix(b, []byte(zipMagic)) {
		read = decodePyTorch
	} else if what := foreign(b); what != "" {
		return nil, bad("checkpoint %s: %s", path, what)
	}
	f, err := read(b)
	if err != nil {
		return nil, bad("checkpoint %s: %v", path, err)
	}
	return f, nil
}

// LoadMetadata reads the metadata of a safetensors file, and none of its tensors. The
// error is [ErrBadCheckpoint].
func LoadMetadata(path string) (map[string]string, error) {
	header, err := readHeader(path)
	if err != nil {
		return nil, bad("checkpoint %s: %v", path, cause(err))
	}
	return header.Metadata(), nil
}

// cause returns an error without the path, which the message names already.
func cause(err error) error {
	if at := (*fs.PathError)(nil); errors.As(err, &at) {
		return at.Err
	}
	return err
}

func readHeader(path string) (h safetensors.Metadata, err error) {
	f, err := limitedfile.Open(path)
	if err != nil {
		return h, err
	}
	defer f.Close()
	var n uint64
	if err := binary.Read(f, binary.LittleEndian, &n); err != nil {
		return h, err
	}
	if n > maxHeader {
		return h, fmt.Errorf("not a safetensors file: its header would have %d bytes, more than %d", n, maxHeader)
	}
	text := make([]byte, n)
	if _, err := io.ReadFull(f, text); err != nil {
		return h, err
	}
	return h, h.UnmarshalJSON(text)
}

// Limits, in bytes, above which files and headers are refused unread. The largest network
// has 2³⁰ weights (see package model).
const (
	maxFile   int64 = 4<<30 + 1<<28
	maxHeader       = 1 << 20
)

func readLimited(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("%d bytes; checkpoints of at most %d bytes are read; save only the weights, with torch.save(model.state_dict(), FILE)",
			info.Size(), maxFile)
	}
	return limitedfile.Read(path, maxFile)
}

// decode finds the tensors of a safetensors file.
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
	s := set{}
	for _, named := range st.Tensors() {
		e, err := newEntry(named.Name, named.TensorView)
		if err != nil {
			return nil, err
		}
		s.entries = append(s.entries, e)
	}
	return &File{Metadata: header.Metadata(), sets: []set{s}}, nil
}

// checkSizes detects files that do not end where their header says, for which package
// safetensors has no precise error.
func checkSizes(b []byte) error {
	const prefix = 8 // bytes of the header's length
	if len(b) < prefix {
		return fmt.Errorf("cut short: %d bytes", len(b))
	}
	n := binary.LittleEndian.Uint64(b)
	if n > maxHeader {
		return fmt.Errorf("not a safetensors file: its header would have %d bytes, more than %d", n, maxHeader)
	}
	if n > uint64(len(b)-prefix) {
		return fmt.Errorf("cut short: %d bytes, but the header alone has %d; copy or download it again", len(b), prefix+n)
	}
	var header safetensors.Metadata
	if err := header.UnmarshalJSON(b[prefix : prefix+n]); err != nil {
		return fmt.Errorf("damaged or unknown header: %w; want tensors of float32, float64, float16 or bfloat16", err)
	}
	var end uint64
	for _, t := range header.Tensors() {
		end = max(end, t.DataOffsets[1])
	}
	data := uint64(len(b)) - prefix - n
	if data < end {
		return fmt.Errorf("cut short: %d bytes of tensors, but the header announces %d; copy or download it again", data, end)
	}
	if data > end {
		return fmt.Errorf("%d bytes follow the last tensor", data-end)
	}
	return nil
}

// dtypes maps the element types of safetensors to PyTorch's names.
var dtypes = map[safetensors.DType]string{
	safetensors.F32: "float32", safetensors.F64: "float64", safetensors.F16: "float16", safetensors.BF16: "bfloat16",
	safetensors.I64: "int64", safetensors.I32: "int32", safetensors.I16: "int16", safetensors.I8: "int8",
	safetensors.U64: "uint64", safetensors.U32: "uint32", safetensors.U16: "uint16", safetensors.U8: "uint8",
	safetensors.BOOL: "bool",
}

// newEntry describes a tensor in a file's bytes. The view's data has the size of
// its shape, which Deserialize checks.
func newEntry(name string, v safetensors.TensorView) (entry, error) {
	e := entry{name: name, shape: []int{}, dtype: dtypes[v.DType()]}
	for _, d := range v.Shape() {
		if d > math.MaxInt32 { // possible if the tensor is empty
			return entry{}, fmt.Errorf("%s has an extent of %d, which is too large", name, d)
		}
		e.shape = append(e.shape, int(d))
	}
	data := v.Data()
	e.read = func() (Tensor, error) {
		kind := elements[e.dtype]
		return kind.tensor(e.shape, len(data)/kind.size, func(i int) []byte { return data[i*kind.size:] })
	}
	return e, nil
}
