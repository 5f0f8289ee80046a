package checkpoint

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/nlpodyssey/safetensors"
)

// fixture returns what testdata/generate.py writes, in the order of its list.
func fixture() ([]Tensor, map[string]string) {
	shapes := []struct {
		name  string
		shape []int
	}{
		{"conv1.weight", []int{2, 3, 2, 2}}, {"conv1.bias", []int{2}},
		{"bn1.weight", []int{2}}, {"bn1.bias", []int{2}},
		{"bn1.running_mean", []int{2}}, {"bn1.running_var", []int{2}},
		{"fc1.weight", []int{4, 18}}, {"fc1.bias", []int{4}},
	}
	var tensors []Tensor
	for n, s := range shapes {
		t := Tensor{Name: s.name, Shape: s.shape}
		size := 1
		for _, d := range s.shape {
			size *= d
		}
		for i := range size {
			t.Data = append(t.Data, float32((n+1)*(i-2))/8)
		}
		tensors = append(tensors, t)
	}
	tensors = append(tensors, Scalar("bn1.num_batches_tracked", 938))
	return tensors, map[string]string{"model": "tiny", "epoch": "3", "note": "<ü>"}
}

// byName returns tensors by their names.
func byName(tensors []Tensor) map[string]Tensor {
	m := map[string]Tensor{}
	for _, t := range tensors {
		m[t.Name] = t
	}
	return m
}

// all reads the tensors of a safetensors file.
func all(t *testing.T, f *File) []Tensor {
	t.Helper()
	var tensors []Tensor
	for _, e := range f.sets[0].entries {
		tensor, err := e.read()
		if err != nil {
			t.Fatalf("%s: %v", e.name, err)
		}
		tensor.Name = e.name
		tensors = append(tensors, tensor)
	}
	return tensors
}

// checkFixture fails the test if f is not the fixture.
func checkFixture(t *testing.T, f *File) {
	t.Helper()
	tensors, metadata := fixture()
	if got, want := byName(all(t, f)), byName(tensors); !reflect.DeepEqual(got, want) {
		t.Errorf("tensors %v, want %v", got, want)
	}
	if !maps.Equal(f.Metadata, metadata) {
		t.Errorf("metadata %v, want %v", f.Metadata, metadata)
	}
}

func TestLoadPythonFile(t *testing.T) {
	f, err := Load("testdata/python.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	checkFixture(t, f)
}

func TestSaveLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f.safetensors")
	tensors, metadata := fixture()
	if err := Save(path, tensors, metadata); err != nil {
		t.Fatal(err)
	}
	f, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	checkFixture(t, f)

	first, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(tensors)
	if err := Save(path, tensors, metadata); err != nil {
		t.Fatal(err)
	}
	if second, err := os.ReadFile(path); err != nil || !bytes.Equal(first, second) {
		t.Errorf("another order of the same tensors gives other bytes (%v)", err)
	}
}

// TestPythonReadsOurs needs Python's package safetensors; $FMNIST_PYTHON may
// name an interpreter that has it.
func TestPythonReadsOurs(t *testing.T) {
	python := os.Getenv("FMNIST_PYTHON")
	if python == "" {
		python = "python3"
	}
	if err := exec.Command(python, "-c", "import safetensors, numpy").Run(); err != nil {
		t.Skipf("needs Python with safetensors and numpy (FMNIST_PYTHON=INTERPRETER): %v", err)
	}
	path := filepath.Join(t.TempDir(), "f.safetensors")
	tensors, metadata := fixture()
	if err := Save(path, tensors, metadata); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(python, "testdata/read.py", path, "testdata/python.safetensors").CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "ok" {
		t.Errorf("%v: %s", err, out)
	}
}

func TestSaveRefuses(t *testing.T) {
	for name, tensors := range map[string][]Tensor{
		"short":          {{Name: "a", Shape: []int{2}, Data: []float32{1}}},
		"negative":       {{Name: "a", Shape: []int{-1}, Data: []float32{}}},
		"twice":          {Scalar("a", 1), Scalar("a", 1)},
		"reserved name":  {Scalar("__metadata__", 1)},
		"scalar of none": {{Name: "a"}},
	} {
		path := filepath.Join(t.TempDir(), "f")
		if err := Save(path, tensors, nil); err == nil {
			t.Errorf("%s: no error", name)
		}
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s: a file was written", name)
		}
	}
}

// raw returns the bytes of a file with the given header and data.
func raw(header string, data int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), make([]byte, data)...)
}

func TestLoadRefuses(t *testing.T) {
	good, err := os.ReadFile("testdata/python.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		content []byte
		want    string // part of the message
	}{
		{"empty", nil, "cut short: 0 bytes"},
		{"header cut", good[:100], "cut short: 100 bytes, but the header alone has"},
		{"data cut", good[:len(good)-1], "the header announces 448"},
		{"trailing", append(slices.Clone(good), 0), "1 bytes follow the last tensor"},
		{"text", []byte("hello, this is text"), "neither a safetensors nor a PyTorch file: it begins with \"hello, this is text\""},
		{"pth", []byte("PK\x03\x04 and so on"), "damaged or cut short"},
		{"old pth", []byte("\x80\x02\x8a"), "Python pickle"},
		{"bad JSON", raw(`{"a":`, 0), "unexpected EOF"},
		{"not an object", raw(`[1]`, 0), "neither a safetensors"},
		{"null tensor", raw(`{"a":null}`, 0), `"a"`},
		{"overlap", raw(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 4), "offset"},
		{"hole", raw(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, 8), "offset"},
		{"backwards", raw(`{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},"b":{"dtype":"F32","shape":[1],"data_offsets":[8,4]}}`, 4), "offset"},
		{"shape mismatch", raw(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}`, 4), "mismatch"},
		{"negative extent", raw(`{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}`, 4), "shape"},
		{"overflow", raw(`{"a":{"dtype":"F32","shape":[4294967296,4294967296,4],"data_offsets":[0,0]}}`, 0), "overflow"},
		{"vast empty", raw(`{"a":{"dtype":"F32","shape":[0,4294967296],"data_offsets":[0,0]}}`, 0), "extent of 4294967296"},
		{"unknown type", raw(`{"a":{"dtype":"F8","shape":[1],"data_offsets":[0,1]}}`, 1), "F8"},
		{"LFS", []byte("version https://git-lfs.github.com/spec/v1\noid sha256:0\n"), "git lfs pull"},
		{"page", []byte("\n <!DOCTYPE html><html>"), "a web page"},
		{"JSON", []byte(`{"model": "fashioncnn", "layers": []}`), "JSON"},
		{"gguf", []byte("GGUF\x03\x00\x00\x00\x00"), "GGUF"},
		{"Keras", []byte("\x89HDF\r\n\x1a\n\x00\x00"), "HDF5"},
		{"ONNX", []byte("\x08\x0a\x12\x07pytorch\x1a\x05"), "ONNX"},
		{"tar", append(make([]byte, 257), "ustar\x0000"...), "tar archive"},
		{"zstd", []byte("\x28\xb5\x2f\xfd\x00\x00\x00\x00\x00"), "zstd"},
		{"empty zip", []byte("PK\x05\x06" + strings.Repeat("\x00", 18)), "empty zip"},
	} {
		path := filepath.Join(t.TempDir(), "f.safetensors")
		if err := os.WriteFile(path, c.content, 0o666); err != nil {
			t.Fatal(err)
		}
		_, err := Load(path)
		if !errors.Is(err, ErrBadCheckpoint) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: error %q, want ErrBadCheckpoint with the path and %q", c.name, err, c.want)
		}
	}
	for _, path := range []string{filepath.Join(t.TempDir(), "absent"), t.TempDir()} {
		if _, err := Load(path); !errors.Is(err, ErrBadCheckpoint) || !strings.Contains(err.Error(), path) {
			t.Errorf("Load(%s): %v", path, err)
		}
	}
}

func TestFitRefusesNumbersThatAreNotFinite(t *testing.T) {
	for _, x := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		path := filepath.Join(t.TempDir(), "f.safetensors")
		if err := Save(path, []Tensor{{Name: "w", Shape: []int{3}, Data: []float32{0, 1, float32(x)}}}, nil); err != nil {
			t.Fatal(err)
		}
		f, err := Load(path)
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.Fit([]Spec{{Name: "w", Shape: []int{3}}})
		wantBad(t, "not finite", err, fmt.Sprintf("w: element 2 is %v", x))
	}
}

// LoadMetadata reads none of the tensors: it neither takes memory for them nor misses
// them.
func TestLoadMetadata(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f.safetensors")
	tensors, metadata := fixture()
	if err := Save(path, tensors, metadata); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 1<<40); err != nil {
		t.Skipf("no sparse files here: %v", err)
	}
	if got, err := LoadMetadata(path); err != nil || !maps.Equal(got, metadata) {
		t.Errorf("%v, %v; want %v", got, err, metadata)
	}
	for name, text := range map[string]string{"empty": "", "short": "\x08\x00\x00\x00\x00\x00\x00\x00{}", "large": "PK\x03\x04\x00\x00\x00\x00", "damaged": "\x02\x00\x00\x00\x00\x00\x00\x00]["} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadMetadata(path); !errors.Is(err, ErrBadCheckpoint) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, want ErrBadCheckpoint", name, err)
		}
	}
	if _, err := LoadMetadata(filepath.Join(dir, "none")); !errors.Is(err, ErrBadCheckpoint) {
		t.Errorf("of no file: %v, want ErrBadCheckpoint", err)
	}
}

// TestLoadRefusesLargeFiles uses a sparse file, which takes no space.
func TestLoadRefusesLargeFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, maxFile+1); err != nil {
		t.Skipf("no sparse files here: %v", err)
	}
	if _, err := Load(path); !errors.Is(err, ErrBadCheckpoint) || !strings.Contains(err.Error(), "at most 4563402752 bytes") {
		t.Errorf("error %v", err)
	}
}

// Weights of a large network can be read again. The file is sparse.
func TestLoadLargeFile(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped by -short: it takes 600 MB of memory")
	}
	const elements = 1<<26 + 1 // a little more than 256 MiB
	header := fmt.Sprintf(`{"w":{"dtype":"F32","shape":[%d],"data_offsets":[0,%d]}}`, elements, 4*elements)
	path := filepath.Join(t.TempDir(), "large.safetensors")
	if err := os.WriteFile(path, append(binary.LittleEndian.AppendUint64(nil, uint64(len(header))), header...), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, int64(8+len(header)+4*elements)); err != nil {
		t.Skipf("no sparse files here: %v", err)
	}
	f, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if w, ok := f.Tensor("w"); !ok || len(w.Data) != elements {
		t.Errorf("%d elements, %t", len(w.Data), ok)
	}
}

func TestFit(t *testing.T) {
	tensors, _ := fixture()
	var specs []Spec
	for _, x := range tensors {
		specs = append(specs, Spec{Name: x.Name, Shape: x.Shape, Count: x.Ints != nil})
	}
	slices.Reverse(specs)
	f, err := Load("testdata/python.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	got, err := f.Fit(specs)
	slices.Reverse(got)
	if err != nil || !reflect.DeepEqual(got, tensors) {
		t.Errorf("the same tensors: %v, %v", got, err)
	}
	if fit, _ := f.Compare(specs); !fit {
		t.Error("the same tensors are not taken for a fit")
	}

	tensors[0].Shape = []int{2, 2, 2, 3}
	tensors[1].Name = "conv9.bias"
	tensors[2] = Tensor{Name: "bn1.weight", Shape: []int{2}, Ints: []int64{1, 2}}
	path := filepath.Join(t.TempDir(), "f")
	if err := Save(path, tensors, nil); err != nil {
		t.Fatal(err)
	}
	if f, err = Load(path); err != nil {
		t.Fatal(err)
	}
	_, err = f.Fit(specs)
	wantBad(t, "another network's", err, "conv1.weight has shape (2, 2, 2, 3), expected (2, 3, 2, 2)",
		"conv1.bias (2) is missing", "conv9.bias (2) is unknown", "bn1.weight has elements of type int64, expected float32")
	if strings.Contains(err.Error(), "fc1") {
		t.Errorf("%q reports what fits", err)
	}
	if fit, likeness := f.Compare(specs); fit || !(likeness > .8 && likeness < 1) {
		t.Errorf("another network's tensors: fit %v, likeness %v", fit, likeness)
	}
}

// FuzzDecode checks that no input panics, and that what is read can be written
// and read again.
func FuzzDecode(f *testing.F) {
	good, err := os.ReadFile("testdata/python.safetensors")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:50])
	f.Add(raw(`{"a":{"dtype":"F32","shape":[0,7],"data_offsets":[0,0]}}`, 0))
	f.Add(raw(`{"__metadata__":{"k":"v"},"a":{"dtype":"I64","shape":[],"data_offsets":[0,8]}}  `, 8))
	f.Fuzz(func(t *testing.T, b []byte) {
		file, err := decode(b)
		if err != nil {
			return
		}
		for _, e := range file.sets[0].entries {
			if _, err := e.read(); err != nil || dtypes[safetensors.F32] != e.dtype && dtypes[safetensors.I64] != e.dtype {
				return // not finite, or of a type that is not written
			}
		}
		tensors := all(t, file)
		var again bytes.Buffer
		if err := encode(&again, tensors, file.Metadata); err != nil {
			t.Fatalf("cannot write what was read: %v", err)
		}
		second, err := decode(again.Bytes())
		if err != nil {
			t.Fatalf("cannot read what was written: %v", err)
		}
		if !reflect.DeepEqual(byName(tensors), byName(all(t, second))) || !maps.Equal(file.Metadata, second.Metadata) {
			t.Errorf("read %v, again %v", file, second)
		}
	})
}
