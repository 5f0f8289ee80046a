package checkpoint

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"
)

// A PyTorch file is a zip archive of a pickle, data.pkl, and the tensors' storages,
// data/0 and so on (torch.serialization). Running the pickle without calling anything
// (pickle.go) gives tensors as views of storages, which are read only when a tensor
// is needed.

// zipMagic is the start of a PyTorch file.
const zipMagic = "PK\x03\x04"

// Limits of a PyTorch file. A history may hold one tensor per step.
const (
	maxEntries  = 1 << 18 // files in the archive
	maxElements = 1 << 24 // in a tensor that shows elements of its storage several times
	maxTensors  = 1 << 14 // in a dictionary
	maxDepth    = 4       // of nested dictionaries
	maxName     = 1 << 10 // bytes of a key on the path to a dictionary
)

// decodePyTorch finds the dictionaries of tensors in a PyTorch file.
func decodePyTorch(b []byte) (*File, error) {
	a, err := openArchive(b)
	if err != nil {
		return nil, err
	}
	program, err := a.read("data.pkl", maxPickle)
	if err != nil {
		return nil, err
	}
	u := unpickler{program: program, call: a.call, load: a.findStorage}
	root, err := u.run()
	if err != nil {
		return nil, fmt.Errorf("data.pkl: %w", err)
	}
	f := &File{Metadata: map[string]string{}}
	f.addSets("", root, 0, map[any]bool{})
	if len(f.sets) == 0 {
		return nil, noTensors(root)
	}
	return f, nil
}

// noTensors returns the error of a file without a dictionary of tensors.
func noTensors(root any) error {
	const remedy = "save the model's weights with torch.save(model.state_dict(), FILE)"
	o, ok := root.(*object)
	switch {
	case !ok || o.made == list:
		return fmt.Errorf("it contains %s, not a dictionary of tensors; %s", kindOf(root), remedy)
	case o.made != dict && len(o.items) == 0:
		return fmt.Errorf("it contains an object of %s, perhaps a whole model, whose code is not run; %s", o.made, remedy)
	case len(o.items) == 0:
		return fmt.Errorf("it contains an empty dictionary; %s", remedy)
	}
	var entries []string
	for _, i := range o.items[:min(len(o.items), 5)] {
		key, ok := keyName(i.key)
		if !ok {
			key = "the value of " + kindOf(i.key)
		}
		entries = append(entries, fmt.Sprintf("%s is %s", key, kindOf(i.value)))
	}
	return fmt.Errorf("it contains no dictionary of tensors (%s); %s", strings.Join(entries, ", "), remedy)
}

// addSets adds v, if it is a dictionary with tensors, and such dictionaries within it,
// also in lists and tuples.
func (f *File) addSets(key string, v any, depth int, seen map[any]bool) {
	var identity any // of a value that several paths may lead to
	var items []item
	switch v := v.(type) {
	case *object:
		identity, items = v, v.items
	case tuple:
		for i, element := range v {
			identity, items = &v[0], append(items, item{i, element})
		}
	}
	if len(items) == 0 || seen[identity] || depth > maxDepth {
		return
	}
	seen[identity] = true
	if o, ok := v.(*object); ok {
		f.addSet(key, o)
	}
	for _, i := range items {
		if name, ok := keyName(i.key); ok {
			f.addSets(strings.TrimPrefix(key+"."+name, "."), i.value, depth+1, seen)
		}
	}
}

// addSet adds a dictionary if any of its named entries is a tensor.
func (f *File) addSet(key string, o *object) {
	s := set{key: key}
	tensors := false
	for _, i := range o.items {
		name, ok := i.key.(string)
		if !ok {
			continue
		}
		e := entry{name: name}
		if t, ok := i.value.(*tensorView); ok {
			e.shape, e.dtype, e.read = t.size, t.storage.dtype, t.read
			tensors = true
		} else {
			e.not = kindOf(i.value)
		}
		s.entries = append(s.entries, e)
	}
	if tensors && !o.more {
		f.sets = append(f.sets, s)
	}
}

// keyName returns a dictionary's key, or a place in a list, as text.
func keyName(key any) (string, bool) {
	switch key := key.(type) {
	case string:
		return key, len(key) <= maxName
	case int:
		return strconv.Itoa(key), true
	}
	return "", false
}

// archive is the content of a PyTorch file.
type archive struct {
	entries  map[string]*zip.File
	storages map[string][]byte // that have been read, by name
}

func openArchive(b []byte) (*archive, error) {
	r, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return nil, fmt.Errorf("damaged or cut short (%w); copy or download it again", err)
	}
	if len(r.File) > maxEntries {
		return nil, fmt.Errorf("%d files in the archive, more than %d", len(r.File), maxEntries)
	}
	if what := foreignArchive(r.File); what != "" {
		return nil, errors.New(what)
	}
	a := &archive{entries: map[string]*zip.File{}, storages: map[string][]byte{}}
	unread := uint64(len(b))
	for _, e := range r.File { // all are in a folder named after the file
		if e.CompressedSize64 > unread {
			return nil, fmt.Errorf("%s in the archive has %d bytes, more than the file has left", e.Name, e.CompressedSize64)
		}
		unread -= e.CompressedSize64
		_, inner, _ := strings.Cut(e.Name, "/")
		a.entries[path.Clean(inner)] = e
	}
	if order, err := a.read("byteorder", 16); err == nil && string(order) != "little" {
		return nil, fmt.Errorf("its numbers are %q-endian, want little-endian", order)
	}
	return a, nil
}

// read returns the content of a file in the archive.
func (a *archive) read(name string, most uint64) ([]byte, error) {
	e := a.entries[name]
	if e == nil {
		return nil, fmt.Errorf("the archive has no %s", name)
	}
	if e.Method != zip.Store {
		return nil, fmt.Errorf("%s in the archive is compressed, which torch.save does not do; load it in PyTorch and save it again", e.Name)
	}
	if e.UncompressedSize64 > most {
		return nil, fmt.Errorf("%s has %d bytes, more than the limit of %d", name, e.UncompressedSize64, most)
	}
	r, err := e.Open()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	defer r.Close()
	content := make([]byte, min(e.UncompressedSize64, e.CompressedSize64))
	if _, err := io.ReadFull(r, content); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if n, err := r.Read(make([]byte, 1)); n > 0 || err != io.EOF { // its checksum
		return nil, fmt.Errorf("%s is damaged: %v", name, err)
	}
	return content, nil
}

// call returns the result of a class or function that matters: a view of a tensor, or a
// dictionary. All other results are stand-ins.
func (a *archive) call(c class, args tuple) any {
	name := c.String()
	switch name {
	case "collections.OrderedDict", "builtins.dict", "__builtin__.dict":
		return &object{made: dict}
	case rebuildTensor, rebuildTensorV3:
		if t := rebuild(name, args); t != nil {
			return t
		}
		name += " with unusable arguments"
	case "torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state":
		if len(args) > 0 {
			return args[0]
		}
	case "torch._tensor._rebuild_from_type_v2": // (function, type, its arguments, state)
		if len(args) > 2 {
			f, _ := args[0].(class)
			inner, _ := args[2].(tuple)
			if t := rebuild(f.String(), inner); t != nil && isTensorType(args[1]) {
				return t
			}
		}
	}
	if len(args) > 0 && (name == "copyreg._reconstructor" || name == "copy_reg._reconstructor") {
		if c, ok := args[0].(class); ok {
			name = c.String()
		}
	}
	return &object{made: name}
}

// The functions that create tensors. The second serves types without a storage class.
const (
	rebuildTensor   = "torch._utils._rebuild_tensor_v2"
	rebuildTensorV3 = "torch._utils._rebuild_tensor_v3"
)

// rebuild returns the view that one of these functions creates, or nil.
func rebuild(function string, args tuple) *tensorView {
	t := newTensorView(args)
	if t == nil || len(args) > 6 && function == rebuildTensor && !isEmpty(args[6]) {
		return nil // for example, the last argument may say that the numbers are negated
	}
	switch function {
	case rebuildTensor:
		return t
	case rebuildTensorV3:
		if len(args) > 6 {
			return t.as(args[6])
		}
	}
	return nil
}

// isEmpty reports whether a value is None or an empty dictionary.
func isEmpty(v any) bool {
	o, ok := v.(*object)
	return v == nil || ok && len(o.items) == 0
}

// isTensorType reports whether a class leaves a tensor's numbers unchanged.
func isTensorType(v any) bool {
	c, _ := v.(class)
	return slices.Contains([]string{"torch.Tensor", "torch.nn.parameter.Parameter", "torch.nn.parameter.Buffer"}, c.String())
}

// storage is a run of elements that tensors are views of.
type storage struct {
	archive *archive
	name    string // in the archive
	dtype   string
	count   int // elements
}

// findStorage returns the storage for a persistent id: ("storage", class, key,
// location, number of elements).
func (a *archive) findStorage(id any) any {
	t, ok := id.(tuple)
	if !ok || len(t) < 5 || t[0] != any("storage") {
		return other("a persistent id")
	}
	c, isClass := t[1].(class)
	key, isKey := t[2].(string)
	n, isCount := t[4].(int)
	if !isClass || !isKey || !isCount {
		return other("a persistent id")
	}
	// Several keys may name the same file: 0, ./0, ././0.
	return storage{a, path.Join("data", key), storageTypes[c.name], n}
}

// storageTypes are the element types of PyTorch's storage classes.
var storageTypes = map[string]string{
	"FloatStorage": "float32", "DoubleStorage": "float64", "HalfStorage": "float16", "BFloat16Storage": "bfloat16",
	"LongStorage": "int64", "IntStorage": "int32", "ShortStorage": "int16", "CharStorage": "int8",
	"ByteStorage": "uint8", "UntypedStorage": "uint8", "BoolStorage": "bool",
	"ComplexFloatStorage": "complex64", "ComplexDoubleStorage": "complex128",
}

// bytes returns the storage's content, which is read once for all views.
func (s storage) bytes(size int) ([]byte, error) {
	data, ok := s.archive.storages[s.name]
	if !ok {
		var err error
		if data, err = s.archive.read(s.name, uint64(maxFile)); err != nil {
			return nil, err
		}
		s.archive.storages[s.name] = data
	}
	if s.count < 0 || s.count > len(data)/size {
		return nil, fmt.Errorf("%s has %d bytes, too few for %d elements of %s", s.name, len(data), s.count, s.dtype)
	}
	return data[:s.count*size], nil
}

// tensorView is a strided view of a storage.
type tensorView struct {
	storage
	offset       int
	size, stride []int
}

// newTensorView takes the arguments of torch._utils._rebuild_tensor_v2: storage,
// offset, size, stride, … It returns nil if they are not valid.
func newTensorView(args tuple) *tensorView {
	if len(args) < 4 {
		return nil
	}
	s, isStorage := args[0].(storage)
	offset, isOffset := args[1].(int)
	size, isSize := extents(args[2])
	stride, isStride := extents(args[3])
	if !isStorage || !isOffset || !isSize || !isStride || offset < 0 || len(size) != len(stride) {
		return nil
	}
	return &tensorView{s, offset, size, stride}
}

// as returns the view of an untyped storage as a view of elements of a type.
func (t *tensorView) as(dtype any) *tensorView {
	c, _ := dtype.(class)
	v := *t
	v.dtype = c.name
	if e, ok := elements[c.name]; ok {
		v.count /= e.size
	}
	return &v
}

// maxAxes is the largest number of axes a tensor may have.
const maxAxes = 8

// extents returns a tuple of numbers below 2³¹, and whether v is one.
func extents(v any) ([]int, bool) {
	t, ok := v.(tuple)
	if !ok || len(t) > maxAxes {
		return nil, false
	}
	list := []int{}
	for _, x := range t {
		n, ok := x.(int)
		if !ok || n < 0 || n > math.MaxInt32 {
			return nil, false
		}
		list = append(list, n)
	}
	return list, true
}

// read copies the view's elements, in row-major order.
func (t *tensorView) read() (Tensor, error) {
	e, known := elements[t.dtype]
	if !known {
		return Tensor{}, unreadable(t.dtype)
	}
	count, span := 1, 1 // elements, and the distance in the storage from the first to the last, inclusive
	for i, d := range t.size {
		if d > 0 && count > max(maxElements, t.count)/d { // t.bytes checks t.count
			return Tensor{}, fmt.Errorf("a tensor of shape %s is too large", shapeString(t.size))
		}
		count *= d
		span += max(0, d-1) * t.stride[i]
	}
	data, err := t.bytes(e.size)
	if err != nil {
		return Tensor{}, err
	}
	if have := len(data) / e.size; count > 0 && span > have-t.offset {
		return Tensor{}, fmt.Errorf("a tensor of shape %s spans %d elements from element %d on, but its storage has %d", shapeString(t.size), span, t.offset, have)
	}
	return e.tensor(t.size, count, func(i int) []byte { return data[t.position(i)*e.size:] })
}

// position returns the index in the storage of the view's element i.
func (t *tensorView) position(i int) int {
	at := t.offset
	for axis := len(t.size) - 1; axis >= 0; axis-- {
		at += i % t.size[axis] * t.stride[axis]
		i /= t.size[axis]
	}
	return at
}
