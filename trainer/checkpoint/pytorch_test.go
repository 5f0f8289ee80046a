package checkpoint

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// small is the network that testdata/generate_pytorch.py saves, and its weights.
var (
	small = []Spec{
		{Name: "fc.weight", Shape: []int{2, 3}}, {Name: "fc.bias", Shape: []int{2}},
		{Name: "bn.num_batches_tracked", Shape: []int{}, Count: true},
	}
	smallWeights = []Tensor{
		{Name: "fc.weight", Shape: []int{2, 3}, Data: []float32{-.25, -.125, 0, .125, .25, .375}},
		{Name: "fc.bias", Shape: []int{2}, Data: []float32{1, -2}},
		{Name: "bn.num_batches_tracked", Shape: []int{}, Ints: []int64{938}},
	}
)

// fit reads the tensors wanted from a file in testdata/pytorch.
func fit(name string, want []Spec) ([]Tensor, error) {
	f, err := Load(filepath.Join("testdata", "pytorch", name))
	if err != nil {
		return nil, err
	}
	return f.Fit(want)
}

// All forms in which testdata/generate_pytorch.py saves the network give the same
// three tensors.
func TestLoadPyTorch(t *testing.T) {
	for _, name := range []string{
		"plain", "protocol4", "training", "state_dict", "parallel", "parameter", "views", "half", "bfloat16", "double",
		"beside_2", "beside_3", "beside_4", "beside_5",
		"net", "deeper", "several", "in_list", "in_tuple", "in_fold", "ema", "subclass", "defaultdict",
		"compiled", "lightning", "nested", "averaged",
		"attributes", "shared", "transposed",
		"tracked_int32", "tracked_float", "tracked_axis",
	} {
		got, err := fit(name+".pth", small)
		if err != nil || !reflect.DeepEqual(got, smallWeights) {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, smallWeights)
		}
	}
	for _, name := range []string{"half", "bfloat16", "double", "prefix", "tracked_int16"} {
		got, err := fit(name+".safetensors", small)
		if err != nil || !reflect.DeepEqual(got, smallWeights) {
			t.Errorf("%s.safetensors: %+v, %v; want %+v", name, got, err, smallWeights)
		}
	}
}

// An unusable number of batches is read as 0.
func TestLoadWithoutCount(t *testing.T) {
	want := []Tensor{smallWeights[0], smallWeights[1], Scalar("bn.num_batches_tracked", 0)}
	for _, name := range []string{"tracked_absent.pth", "tracked_absent.safetensors", "tracked_number.pth", "tracked_negative.pth", "tracked_nan.pth", "tracked_float8.pth"} {
		if got, err := fit(name, small); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, want)
		}
	}
}

// Views are read in row-major order, regardless of their strides.
func TestLoadPyTorchStrides(t *testing.T) {
	f, err := Load("testdata/pytorch/channels_last.pth")
	if err != nil {
		t.Fatal(err)
	}
	weight, _ := f.Tensor("conv.weight")
	for i, x := range weight.Data {
		if x != float32(i) {
			t.Errorf("element %d of a channels-last weight is %v", i, x)
		}
	}
	flipped, _ := f.Tensor("conv.flipped") // (c, o, h, 1-w) of (o, c, h, w)
	for i, x := range flipped.Data {
		w, h, o, c := 1-i%2, i/2%2, i/4%2, i/8
		if want := float32(((o*3+c)*2+h)*2 + w); x != want {
			t.Errorf("element %d of a flipped, transposed weight is %v, want %v", i, x, want)
		}
	}
	if len(weight.Data) != 24 || len(flipped.Data) != 24 {
		t.Errorf("%d and %d elements, want 24", len(weight.Data), len(flipped.Data))
	}
	one, err := fit("broadcast.pth", []Spec{{Name: "one", Shape: []int{2, 3}}})
	if err != nil || !slices.Equal(one[0].Data, []float32{2.5, 2.5, 2.5, 2.5, 2.5, 2.5}) {
		t.Errorf("a broadcast tensor is %v, %v", one, err)
	}
}

// Files without weights for the network give one line that says what is wrong or what
// the file is, and what to do.
func TestLoadPyTorchExplains(t *testing.T) {
	for name, words := range map[string][]string{
		"module.pth":           {"torch.nn.modules.linear.Linear", "whole model", "state_dict()"},
		"list.pth":             {"it contains a list", "state_dict()"},
		"numbered.pth":         {"0 is a tensor", "the value of None is an int", "state_dict()"},
		"weightless.pth":       {"no dictionary of tensors", "epoch is an int", "state_dict()"},
		"attack.pth":           {"fc.weight is made by posix.system (not run)", "state_dict()"},
		"ambiguous.pth":        {`"ema" and "best" match`, "by itself"},
		"extra.pth":            {"match the model's: criterion.weight (4) is unknown"},
		"mixed.pth":            {"missing", "unknown"},
		"leading_one.pth":      {`in "a"`, "fc.bias has shape (1, 2), expected (2)"},
		"weight_float8.pth":    {"fc.bias has elements of type float8_e5m2", ".float()"},
		"weight_complex.pth":   {"fc.bias has elements of type complex64", "float32"},
		"weight_integer.pth":   {"fc.bias has elements of type int64", "float32"},
		"weight_sparse.pth":    {"fc.bias is not a tensor but made by torch._utils._rebuild_sparse_tensor"},
		"weight_quantized.pth": {"fc.bias is not a tensor but made by torch._utils._rebuild_qtensor"},
		"weight_array.pth":     {"fc.bias is not a tensor but made by numpy"},
		"weight_negated.pth":   {"fc.bias is not a tensor but made by torch._utils._rebuild_tensor_v2 with unusable arguments"},
		"float8.safetensors":   {"F8_E4M3", "float32"},
		"legacy.pth":           {"older format", "_use_new_zipfile_serialization=False", "torch.load"},
		"torchscript.pt":       {"TorchScript", "state_dict()"},
		"numpy.npz":            {"NumPy", ".npz"},
		"numpy.npy":            {"NumPy"},
		"plain.pkl":            {"Python pickle", "torch.save"},
		"compressed.pth.gz":    {"gzip", "unpack"},
		"zipped.zip":           {"zip archive that contains model.pth"},
		"several.pth":          nil, // the control
	} {
		_, err := fit(name, small)
		if words == nil {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		wantBad(t, name, err, words...)
	}
	if _, err := os.Stat("ATTACKED"); err == nil {
		t.Error("a pickle was run")
	}
}

// wantBad fails the test unless err is ErrBadCheckpoint in one line with all words.
func wantBad(t *testing.T, name string, err error, words ...string) {
	t.Helper()
	if !errors.Is(err, ErrBadCheckpoint) || strings.Contains(err.Error(), "\n") {
		t.Errorf("%s: %v, want one line of ErrBadCheckpoint", name, err)
		return
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%s: %q does not say %q", name, err, w)
		}
	}
}

// Hostile files give one line of error, before memory is allocated for the sizes that
// they announce.
func TestLoadPyTorchRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		shape []int // wanted of w
		say   string
	}{
		"nan":         {nil, "fc.weight: element 1 is NaN"},
		"outside":     {[]int{3}, "(3) spans 3 elements from element 0 on, but its storage has 2"},
		"offset":      {[]int{2}, "(2) spans 2 elements from element 1 on, but its storage has 2"},
		"overflow":    {[]int{2}, "(2) spans 2 elements from element 9223372036854775807 on, but its storage has 2"},
		"huge":        {[]int{1<<31 - 1, 1<<31 - 1}, "is too large"},
		"expanded":    {[]int{1 << 27}, "is too large"},
		"storage":     {[]int{2}, "data/0 has 8 bytes"},
		"negative":    {[]int{2}, "w is made by torch._utils._rebuild_tensor_v2 with unusable arguments"},
		"twice":       {[]int{2}, "w occurs twice"},
		"lines":       {[]int{2}, "a\uFFFDb\uFFFD[31m is None"},
		"quoted":      {[]int{2}, "empty dictionary"},
		"length":      {nil, "cut short"},
		"frame":       {nil, "cut short"},
		"bomb":        {nil, "is compressed"},
		"opcode":      {nil, "opcode 0x69"},
		"unfinished":  {nil, "cut short"},
		"empty_stack": {nil, "stack"},
	} {
		want := []Spec{{Name: "w", Shape: c.shape}}
		if name == "nan" {
			want = []Spec{{Name: "fc.weight", Shape: []int{2}}}
		}
		_, err := fit(name+".pth", want)
		wantBad(t, name, err, c.say)
	}
}

// A pickle cannot take disproportionate memory by repetition, and other values than
// weights cost almost nothing.
func TestUnpicklerMemory(t *testing.T) {
	const n = 1 << 20
	wide := []byte(")\x94") // tuples of 64 times the one before
	for i := range byte(8) {
		wide = append(append(append(wide, '('), bytes.Repeat([]byte{'h', i}, maxTuple)...), "t\x94"...)
	}
	for name, program := range map[string][]byte{
		"marks":        bytes.Repeat([]byte("("), n),
		"values":       bytes.Repeat([]byte("N"), n),
		"dictionaries": bytes.Repeat([]byte("}"), n),
		"lists":        bytes.Repeat([]byte("]"), n),
		"wide tuples":  append(wide, '.'),
		"memo":         bytes.Repeat([]byte("}\x940"), n),
		"memo index":   []byte("Nr\xff\xff\xff\xff."),
		"tuples":       append([]byte("N"), bytes.Repeat([]byte("\x85"), n)...),
		"doubling":     append([]byte(")"), bytes.Repeat([]byte("2\x86"), n)...),
		"calls":        append([]byte("cos\nsystem\n"), bytes.Repeat([]byte("2)R0"), n)...),
		"entries":      append([]byte("}"), bytes.Repeat([]byte("NNs"), n)...),
		"nested":       append(bytes.Repeat([]byte("}U\x01a"), n/2), bytes.Repeat([]byte("s"), n/2)...),
		"list's keys":  append(append([]byte("]("), bytes.Repeat([]byte("NN"), maxTuple+1)...), "uNa."...),
		"long key":     longKey(1 << 20),
	} {
		t.Run(name, func(t *testing.T) {
			before := allocated()
			if _, err := decodePyTorch(archived(t, program)); err == nil {
				t.Error("no error")
			}
			if used := allocated() - before; used > 256<<20 {
				t.Errorf("%d MB are taken", used>>20)
			}
		})
	}

	// {"losses": [0.0, …, a million], "w": 3 zeros}
	const losses = 1_000_000
	history := []byte("}(U\x06losses](")
	for range losses {
		history = append(history, 'G', 0, 0, 0, 0, 0, 0, 0, 0)
	}
	history = append(history, "eU\x01wctorch._utils\n_rebuild_tensor_v2\n((U\x07storagectorch\nFloatStorage\nU\x010U\x03cpuK\x03tQK\x00K\x03\x85K\x01\x85\x89}tRu."...)
	f, err := decodePyTorch(archived(t, history))
	if err != nil {
		t.Fatal(err)
	}
	if w, err := f.Fit([]Spec{{Name: "w", Shape: []int{3}}}); err != nil || !slices.Equal(w[0].Data, []float32{0, 0, 0}) {
		t.Errorf("beside a long history: %v, %v", w, err)
	}
}

// longKey returns a dictionary with one long key, of a dictionary with many entries.
func longKey(n int) []byte {
	key := strings.Repeat("k", n)
	program := append([]byte("}X"), binary.LittleEndian.AppendUint32(nil, uint32(n))...)
	program = append(append(program, key...), "}("...)
	program = append(program, bytes.Repeat([]byte("U\x01a}"), maxTensors-1)...)
	return append(program, "us."...)
}

// allocated returns the total of bytes allocated on the heap.
func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

// A file cut anywhere is refused.
func TestLoadPyTorchCutShort(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("testdata", "pytorch", "plain.pth"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "cut.pth")
	for _, n := range []int{0, 3, 4, 100, len(b) / 2, len(b) - 1} {
		if err := os.WriteFile(path, b[:n], 0o666); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(path); !errors.Is(err, ErrBadCheckpoint) || !strings.Contains(err.Error(), "cut short") {
			t.Errorf("%d of %d bytes: %v, want it to be called cut short", n, len(b), err)
		}
	}
}

// The archive's checksum detects a changed bit in the weights.
func TestFitFindsDamage(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("testdata", "pytorch", "plain.pth"))
	if err != nil {
		t.Fatal(err)
	}
	var data []byte // of fc.weight
	for _, x := range smallWeights[0].Data {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(x))
	}
	b[bytes.Index(b, data)] ^= 1
	f, err := decodePyTorch(b)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Fit(small)
	wantBad(t, "a changed bit", err, "fc.weight: data/0", "checksum")
}

// A storage is held in memory once, even if the pickle names it often.
func TestLoadPyTorchSharesStorages(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("testdata", "pytorch", "views.pth"))
	if err != nil {
		t.Fatal(err)
	}
	a, err := openArchive(b)
	if err != nil {
		t.Fatal(err)
	}
	bytesOf := func(key string) ([]byte, error) {
		id := tuple{"storage", class{"torch", "FloatStorage"}, key, "cpu", 1}
		return a.findStorage(id).(storage).bytes(4)
	}
	first, err1 := bytesOf("0")
	second, err2 := bytesOf("x/../0")
	if err1 != nil || err2 != nil || len(first) == 0 || &first[0] != &second[0] {
		t.Errorf("%v, %v: %d bytes and %d, want the same", err1, err2, len(first), len(second))
	}
}

// Entries that share the file's bytes could unpack to any size.
func TestLoadPyTorchRefusesOverlap(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("testdata", "pytorch", "plain.pth"))
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.LastIndex(b, []byte("PK\x01\x02")) // the last entry of the directory
	binary.LittleEndian.PutUint32(b[at+20:], uint32(len(b)))
	binary.LittleEndian.PutUint32(b[at+24:], uint32(len(b)))
	if _, err := decodePyTorch(b); err == nil || !strings.Contains(err.Error(), "more than the file has left") {
		t.Errorf("%v, want the entry's size to be refused", err)
	}
}

// Any pickle gives an error or tensors of the right size; none causes a panic.
func FuzzLoadPyTorch(f *testing.F) {
	files, err := filepath.Glob("testdata/pytorch/*.pth")
	if err != nil || len(files) == 0 {
		f.Fatalf("%d files (%v)", len(files), err)
	}
	f.Add(append(append([]byte("]("), bytes.Repeat([]byte("NN"), maxTuple+1)...), "uNa."...)) // keys in a list
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		if a, err := openArchive(b); err == nil {
			if program, err := a.read("data.pkl", maxPickle); err == nil { // the bomb's is compressed
				f.Add(program)
			}
		}
	}
	f.Fuzz(func(t *testing.T, program []byte) {
		file, err := decodePyTorch(archived(t, program))
		if err != nil {
			return
		}
		for _, s := range file.sets {
			for _, e := range s.entries {
				if e.read == nil || product(e.shape) > 1000 {
					continue
				}
				if tensor, err := e.read(); err == nil && product(e.shape) != tensor.len() {
					t.Errorf("%s of shape %v has %d elements", e.name, e.shape, tensor.len())
				}
			}
		}
		if _, err := file.Fit(small); err != nil && !errors.Is(err, ErrBadCheckpoint) {
			t.Errorf("%v is not ErrBadCheckpoint", err)
		}
	})
}

// Any file gives an error or tensors of the right size, whatever it says about itself.
func FuzzPyTorchArchive(f *testing.F) {
	files, err := filepath.Glob("testdata/pytorch/*.pth")
	if err != nil || len(files) == 0 {
		f.Fatalf("%d files (%v)", len(files), err)
	}
	for _, name := range files {
		if b, err := os.ReadFile(name); err != nil {
			f.Fatal(err)
		} else if len(b) < 1<<14 {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if what := foreign(b); strings.ContainsAny(what, "\n\x1b") {
			t.Errorf("%q", what)
		}
		file, err := decodePyTorch(b)
		if err != nil {
			return
		}
		for _, s := range file.sets {
			for _, e := range s.entries {
				if e.read == nil {
					continue
				}
				if tensor, err := e.read(); err == nil && (product(e.shape) != tensor.len() || tensor.len() > max(maxElements, len(b))) {
					t.Errorf("%s of shape %v has %d elements", e.name, e.shape, tensor.len())
				}
			}
		}
	})
}

// archived returns a PyTorch file of a pickle and three storages.
func archived(t *testing.T, program []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, content := range map[string][]byte{"data.pkl": program,
		"data/0": make([]byte, 24), "data/1": make([]byte, 8), "data/2": make([]byte, 8)} {
		w, err := z.CreateHeader(&zip.FileHeader{Name: "f/" + name, Method: zip.Store})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
