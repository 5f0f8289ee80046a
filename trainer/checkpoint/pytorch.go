package checkpoint

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"path"
	"strings"

	"github.com/nlpodyssey/gopickle/pickle"
	"github.com/nlpodyssey/gopickle/types"
	"github.com/x448/float16"
)

// A PyTorch file is a zip archive of a pickle, data.pkl, and the tensors'
// storages, data/0 and so on (torch.serialization). A pickle is a program that
// can name any Python function; here the only ones that exist are those that
// rebuild tensors, nothing else has a meaning, and every size is checked against
// the file before memory is taken for it.

// zipMagic begins a PyTorch file.
const zipMagic = "PK\x03\x04"

// Bounds of what a PyTorch file may hold: the largest network here has 1.7
// million weights.
const (
	maxPickle   = 1 << 20
	maxEntries  = 10_000
	maxElements = 1 << 24
)

// decodePyTorch returns the tensors of a state_dict, or of the one in a
// dictionary under state_dict, model_state_dict or model. The prefix "module."
// that DataParallel adds to all names is taken off.
func decodePyTorch(b []byte) (f *File, err error) {
	defer func() { // the unpickler trusts its stack
		if r := recover(); r != nil {
			f, err = nil, fmt.Errorf("damaged pickle: %v", r)
		}
	}()
	a, err := openArchive(b)
	if err != nil {
		return nil, err
	}
	program, err := a.read("data.pkl", maxPickle)
	if err != nil {
		return nil, err
	}
	if err := checkPickle(program); err != nil {
		return nil, fmt.Errorf("data.pkl: %w", err)
	}
	u := pickle.NewUnpickler(bytes.NewReader(program))
	u.FindClass, u.PersistentLoad = a.findClass, a.findStorage
	root, err := u.Load()
	if err != nil {
		return nil, fmt.Errorf("data.pkl: %w", err)
	}
	tensors, err := stateDict(root)
	if err != nil {
		return nil, err
	}
	return &File{Tensors: tensors, Metadata: map[string]string{}}, nil
}

// archive is the content of a PyTorch file.
type archive struct {
	entries  map[string]*zip.File
	storages map[string][]byte // that have been read, by name
	taken    int               // elements of all tensors so far
}

func openArchive(b []byte) (*archive, error) {
	r, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return nil, fmt.Errorf("damaged or cut short: %w", err)
	}
	if len(r.File) > maxEntries {
		return nil, fmt.Errorf("%d files in the archive, more than %d", len(r.File), maxEntries)
	}
	a := &archive{entries: map[string]*zip.File{}, storages: map[string][]byte{}}
	unread := uint64(len(b))
	for _, e := range r.File { // all lie in a folder named after the file
		if e.Method != zip.Store {
			return nil, fmt.Errorf("%s in the archive is compressed, which torch.save does not do", e.Name)
		}
		if e.UncompressedSize64 > unread {
			return nil, fmt.Errorf("%s in the archive has %d bytes, more than the file has for it", e.Name, e.UncompressedSize64)
		}
		unread -= e.UncompressedSize64
		_, inner, _ := strings.Cut(e.Name, "/")
		a.entries[path.Clean(inner)] = e
	}
	if a.entries["data.pkl"] == nil {
		return nil, errors.New("a zip archive, but not one of torch.save: it has no data.pkl")
	}
	if order, err := a.read("byteorder", 16); err == nil && string(order) != "little" {
		return nil, fmt.Errorf("its numbers are %q-endian, want little", order)
	}
	return a, nil
}

// read returns the content of a file in the archive.
func (a *archive) read(name string, most uint64) ([]byte, error) {
	e := a.entries[name]
	if e == nil {
		return nil, fmt.Errorf("the archive has no %s", name)
	}
	if e.UncompressedSize64 > most {
		return nil, fmt.Errorf("%s has %d bytes, more than %d", name, e.UncompressedSize64, most)
	}
	r, err := e.Open()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	defer r.Close()
	content, err := io.ReadAll(io.LimitReader(r, int64(e.UncompressedSize64)+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return content, nil
}

// element is how a storage class keeps its elements.
type element struct {
	name    string
	size    int
	integer bool
	number  func(b []byte) float32 // of floating-point elements
}

func (element) Call(...any) (any, error) { return nil, errors.New("a storage class is called") }

// elements are the storage classes that are understood, by their names in torch.
var elements = map[string]element{
	"FloatStorage": {"float32", 4, false, func(b []byte) float32 { return math.Float32frombits(binary.LittleEndian.Uint32(b)) }},
	"DoubleStorage": {"float64", 8, false, func(b []byte) float32 {
		return float32(math.Float64frombits(binary.LittleEndian.Uint64(b)))
	}},
	"HalfStorage": {"float16", 2, false, func(b []byte) float32 {
		return float16.Frombits(binary.LittleEndian.Uint16(b)).Float32()
	}},
	"BFloat16Storage": {"bfloat16", 2, false, func(b []byte) float32 {
		return math.Float32frombits(uint32(binary.LittleEndian.Uint16(b)) << 16)
	}},
	"LongStorage": {"int64", 8, true, nil},
}

// function is a Python function that the pickle may call.
type function func(args []any) (any, error)

// Call implements the unpickler's interface of callables.
func (f function) Call(args ...any) (any, error) { return f(args) }

// findClass is the list of all that a pickle may name, beside OrderedDict.
func (a *archive) findClass(module, name string) (any, error) {
	if e, ok := elements[name]; ok && module == "torch" {
		return e, nil
	}
	switch module + "." + name {
	case "torch._utils._rebuild_tensor_v2":
		return function(a.rebuildTensor), nil
	case "torch._utils._rebuild_parameter":
		return function(func(args []any) (any, error) {
			if len(args) < 1 {
				return nil, errors.New("_rebuild_parameter without a tensor")
			}
			return args[0], nil
		}), nil
	}
	return nil, fmt.Errorf("it names %s.%s, which no checkpoint of tensors needs; nothing was run", module, name)
}

// storage is a run of elements that tensors are views of.
type storage struct {
	element
	data []byte
}

// Format writes a word for it: errors that quote what a pickle holds stay short.
func (storage) Format(s fmt.State, _ rune) { io.WriteString(s, "(a storage)") }

// value is a tensor among the values of a pickle.
type value struct{ Tensor }

// Format writes a word for it, as that of a storage.
func (value) Format(s fmt.State, _ rune) { io.WriteString(s, "(a tensor)") }

// findStorage returns what a persistent id stands for: ("storage", class, key,
// location, number of elements).
func (a *archive) findStorage(id any) (any, error) {
	t, ok := id.(*types.Tuple)
	if !ok || t.Len() < 5 || t.Get(0) != "storage" {
		return nil, fmt.Errorf("unknown persistent id %v", id)
	}
	e, isClass := t.Get(1).(element)
	key, isKey := t.Get(2).(string)
	n, isCount := t.Get(4).(int)
	if !isClass || !isKey || !isCount || n < 0 || n > maxElements {
		return nil, fmt.Errorf("storage %v of %v elements is not understood", t.Get(2), t.Get(4))
	}
	data, err := a.readStorage(key)
	if err != nil {
		return nil, err
	}
	if len(data) < n*e.size {
		return nil, fmt.Errorf("data/%s has %d bytes, its %d elements of %s need %d", key, len(data), n, e.name, n*e.size)
	}
	return storage{e, data[:n*e.size]}, nil
}

// readStorage returns the bytes of a storage, however often it is asked for.
func (a *archive) readStorage(key string) ([]byte, error) {
	name := path.Join("data", key) // a file has one name, but many keys: 0, ./0, ././0
	if data, ok := a.storages[name]; ok {
		return data, nil
	}
	data, err := a.read(name, maxFile)
	if err != nil {
		return nil, err
	}
	a.storages[name] = data
	return data, nil
}

// rebuildTensor is torch._utils._rebuild_tensor_v2(storage, offset, size,
// stride, …): the elements of a strided view, in row-major order.
func (a *archive) rebuildTensor(args []any) (any, error) {
	if len(args) < 4 {
		return nil, fmt.Errorf("_rebuild_tensor_v2 with %d arguments", len(args))
	}
	s, isStorage := args[0].(storage)
	offset, isOffset := args[1].(int)
	size, err := extents(args[2])
	if err != nil {
		return nil, err
	}
	stride, err := extents(args[3])
	if err != nil {
		return nil, err
	}
	if !isStorage || !isOffset || offset < 0 || len(size) != len(stride) {
		return nil, errors.New("_rebuild_tensor_v2 with arguments of the wrong kind")
	}
	count, span := 1, 1 // elements, and from the first to the last in the storage
	for i, d := range size {
		if d > 0 && count > (maxElements-a.taken)/d {
			return nil, fmt.Errorf("with a tensor of shape %s it holds more than any checkpoint read here", shapeString(size))
		}
		count *= d
		span += max(0, d-1) * stride[i]
	}
	if have := len(s.data) / s.size; count > 0 && span > have-offset {
		return nil, fmt.Errorf("a tensor of shape %s spans %d elements from %d on, its storage has %d", shapeString(size), span, offset, have)
	}
	a.taken += count
	return value{s.view(offset, count, size, stride)}, nil
}

// extents returns a tuple of numbers from 0 to 2³¹.
func extents(v any) ([]int, error) {
	t, ok := v.(*types.Tuple)
	if !ok {
		return nil, fmt.Errorf("%v is no tuple of extents", v)
	}
	list := []int{}
	for _, x := range *t {
		n, ok := x.(int)
		if !ok || n < 0 || n > math.MaxInt32 {
			return nil, fmt.Errorf("%v is no extent of a tensor", x)
		}
		list = append(list, n)
	}
	if len(list) > 8 {
		return nil, fmt.Errorf("a tensor of %d axes", len(list))
	}
	return list, nil
}

// view copies a strided view out of a storage.
func (s storage) view(offset, count int, size, stride []int) Tensor {
	t := Tensor{Shape: size}
	if s.integer {
		t.Ints = make([]int64, 0, count)
	} else {
		t.Data = make([]float32, 0, count)
	}
	index := make([]int, len(size))
	for range count {
		at := offset
		for axis, i := range index {
			at += i * stride[axis]
		}
		b := s.data[at*s.size:][:s.size]
		if s.integer {
			t.Ints = append(t.Ints, int64(binary.LittleEndian.Uint64(b)))
		} else {
			t.Data = append(t.Data, s.number(b))
		}
		for axis := len(index) - 1; axis >= 0; axis-- { // the next element
			if index[axis]++; index[axis] < size[axis] {
				break
			}
			index[axis] = 0
		}
	}
	return t
}

// stateDict returns the named tensors of what a file held.
func stateDict(root any) ([]Tensor, error) {
	entries, ok := dictionary(root)
	if !ok {
		return nil, errors.New("it holds no dictionary, want the state_dict of a model")
	}
	for _, e := range entries {
		if key := e.Key; key == "state_dict" || key == "model_state_dict" || key == "model" {
			if inner, ok := dictionary(e.Value); ok {
				entries = inner
				break
			}
		}
	}
	var tensors []Tensor
	seen := map[string]bool{}
	const prefix = "module."
	parallel := true
	for _, e := range entries {
		name, isName := e.Key.(string)
		t, isTensor := e.Value.(value)
		if !isName || !isTensor {
			return nil, fmt.Errorf("its entry %v is no tensor: save the model's state_dict() by itself, or as state_dict", e.Key)
		}
		if seen[name] {
			return nil, fmt.Errorf("%s is in it twice", name)
		}
		seen[name] = true
		for i, x := range t.Data {
			if d := x - x; d != 0 { // ±Inf and NaN give NaN
				return nil, fmt.Errorf("%s: element %d is %v", name, i, x)
			}
		}
		t.Name = name
		parallel = parallel && strings.HasPrefix(name, prefix)
		tensors = append(tensors, t.Tensor)
	}
	if parallel {
		for i := range tensors {
			tensors[i].Name = strings.TrimPrefix(tensors[i].Name, prefix)
		}
	}
	return tensors, nil
}

// dictionary returns the entries of a Python dict or OrderedDict.
func dictionary(x any) ([]types.DictEntry, bool) {
	switch d := x.(type) {
	case *types.Dict:
		return *d, true
	case *types.OrderedDict:
		var entries []types.DictEntry
		for e := d.List.Front(); e != nil; e = e.Next() {
			entry := e.Value.(*types.OrderedDictEntry)
			entries = append(entries, types.DictEntry{Key: entry.Key, Value: entry.Value})
		}
		return entries, true
	}
	return nil, false
}

// frame is the opcode FRAME, before so many bytes of a pickle.
const frame = 0x95

// operands are the opcodes that PyTorch writes (Python's pickletools has the
// list) and what follows each: so many bytes, or a length in so many bytes and
// then as many bytes, or lines. The unpickler takes memory for a length before
// it looks how much there is.
var operands = map[byte]struct{ bytes, length, lines int }{
	0x80:  {bytes: 1}, // PROTO
	frame: {bytes: 8},
	'}':   {}, ']': {}, ')': {}, // EMPTY_DICT, EMPTY_LIST, EMPTY_TUPLE
	'(': {}, 't': {}, 0x85: {}, 0x86: {}, 0x87: {}, // MARK, TUPLE, TUPLE1 to TUPLE3
	'u': {}, 's': {}, 'a': {}, 'e': {}, // SETITEMS, SETITEM, APPEND, APPENDS
	'N': {}, 0x88: {}, 0x89: {}, // NONE, NEWTRUE, NEWFALSE
	'K': {bytes: 1}, 'M': {bytes: 2}, 'J': {bytes: 4}, 0x8a: {length: 1}, // BININT1, BININT2, BININT, LONG1
	'G': {bytes: 8},                                       // BINFLOAT
	'X': {length: 4}, 0x8c: {length: 1}, 'U': {length: 1}, // BINUNICODE, SHORT_BINUNICODE, SHORT_BINSTRING
	'q': {bytes: 1}, 'r': {bytes: 4}, 0x94: {}, // BINPUT, LONG_BINPUT, MEMOIZE
	'h': {bytes: 1}, 'j': {bytes: 4}, // BINGET, LONG_BINGET
	'c': {lines: 2}, 0x93: {}, 'R': {}, 'b': {}, 'Q': {}, // GLOBAL, STACK_GLOBAL, REDUCE, BUILD, BINPERSID
	0x81: {}, // NEWOBJ, of classes that findClass refuses by name
	'.':  {}, // STOP
}

// checkPickle returns an error unless a pickle has known opcodes alone, whole,
// up to STOP.
func checkPickle(b []byte) error {
	for at := 0; at < len(b); {
		code := b[at]
		o, known := operands[code]
		if !known {
			return fmt.Errorf("opcode %#02x at %d is none that torch.save writes", code, at)
		}
		at++
		size := o.bytes + o.length
		if o.length > 0 && at+o.length <= len(b) {
			n := 0
			for i := range o.length {
				n |= int(b[at+i]) << (8 * i)
			}
			size += n
		}
		for range o.lines {
			end := bytes.IndexByte(b[min(at+size, len(b)):], '\n')
			if end < 0 {
				return errors.New("cut short")
			}
			size += end + 1
		}
		if at += size; at > len(b) {
			return errors.New("cut short")
		}
		if code == frame && binary.LittleEndian.Uint64(b[at-o.bytes:]) > uint64(len(b)-at) {
			return errors.New("cut short")
		}
		if code == '.' {
			return nil
		}
	}
	return errors.New("cut short")
}
