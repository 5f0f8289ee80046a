package checkpoint

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What testdata/generate_pytorch.py has saved with PyTorch, in every form, is
// read as the same three tensors.
func TestLoadPyTorch(t *testing.T) {
	want := []Tensor{
		{Name: "fc.weight", Shape: []int{2, 3}, Data: []float32{-.25, -.125, 0, .125, .25, .375}},
		{Name: "fc.bias", Shape: []int{2}, Data: []float32{1, -2}},
		{Name: "bn.num_batches_tracked", Shape: []int{}, Ints: []int64{938}},
	}
	for _, name := range []string{"plain", "protocol4", "training", "state_dict", "parallel", "parameter", "views", "half", "bfloat16", "double"} {
		f, err := Load(filepath.Join("testdata", "pytorch", name+".pth"))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(f.Tensors) != len(want) {
			t.Errorf("%s: %d tensors, want %d", name, len(f.Tensors), len(want))
		}
		for _, w := range want {
			got, _ := f.Tensor(w.Name)
			if !slices.Equal(got.Shape, w.Shape) || !slices.Equal(got.Data, w.Data) || !slices.Equal(got.Ints, w.Ints) {
				t.Errorf("%s: %+v, want %+v", name, got, w)
			}
		}
	}
}

// Hostile and unsuitable files end in one line that says what is wrong, before
// anything is run and without memory for what they only announce.
func TestLoadPyTorchRefuses(t *testing.T) {
	for name, say := range map[string]string{
		"attack":      "posix.system",
		"module":      "torch.nn.modules.linear.Linear",
		"list":        "no dictionary",
		"nan":         "fc.weight: element 1 is NaN",
		"outside":     "(3) spans 3 elements from 0 on, its storage has 2",
		"offset":      "(2) spans 2 elements from 1 on, its storage has 2",
		"overflow":    "(2) spans 2 elements from 9223372036854775807 on, its storage has 2",
		"huge":        "more than any checkpoint",
		"expanded":    "more than any checkpoint",
		"storage":     "data/0 has 8 bytes",
		"negative":    "-1 is no extent",
		"length":      "cut short",
		"frame":       "cut short",
		"bomb":        "is compressed",
		"twice":       "w is in it twice",
		"lines":       "its entry a\uFFFDb\uFFFD[31m is no tensor",
		"quoted":      "[]interface {}{(a tensor)}",
		"opcode":      "opcode 0x69",
		"unfinished":  "cut short",
		"empty_stack": "stack",
	} {
		_, err := Load(filepath.Join("testdata", "pytorch", name+".pth"))
		if !errors.Is(err, ErrBadCheckpoint) || !strings.Contains(err.Error(), say) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want one line with %q", name, err, say)
		}
	}
	if _, err := os.Stat("ATTACKED"); err == nil {
		t.Error("a pickle was run")
	}
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

// However often a pickle names a storage, it is held in memory once.
func TestLoadPyTorchSharesStorages(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("testdata", "pytorch", "views.pth"))
	if err != nil {
		t.Fatal(err)
	}
	a, err := openArchive(b)
	if err != nil {
		t.Fatal(err)
	}
	first, err1 := a.readStorage("0")
	second, err2 := a.readStorage("x/../0")
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
	if _, err := decodePyTorch(b); err == nil || !strings.Contains(err.Error(), "more than the file has for it") {
		t.Errorf("%v, want the entry's size to be refused", err)
	}
}

// Any pickle is an error, or leaves tensors of their size; none is a crash.
func FuzzLoadPyTorch(f *testing.F) {
	files, err := filepath.Glob("testdata/pytorch/*.pth")
	if err != nil || len(files) == 0 {
		f.Fatalf("%d files (%v)", len(files), err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		if a, err := openArchive(b); err == nil {
			program, err := a.read("data.pkl", maxPickle)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(program)
		}
	}
	f.Fuzz(func(t *testing.T, program []byte) {
		file, err := decodePyTorch(archived(t, program))
		if err != nil {
			return
		}
		for _, tensor := range file.Tensors {
			n := 1
			for _, d := range tensor.Shape {
				n *= d
			}
			if n != tensor.len() {
				t.Errorf("%s of shape %v has %d elements", tensor.Name, tensor.Shape, tensor.len())
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
