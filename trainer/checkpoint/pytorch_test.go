package checkpoint

import (
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
	for _, name := range []string{"plain", "training", "parallel", "parameter", "views", "half", "bfloat16", "double"} {
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
		"outside":     "ends at element 2 of a storage of 2",
		"offset":      "ends at element 2 of a storage of 2",
		"huge":        "more than any checkpoint",
		"expanded":    "more than any checkpoint",
		"storage":     "data/0 has 8 bytes",
		"negative":    "-1 is no extent",
		"length":      "cut short",
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

// Any damage is an error, or leaves tensors of their size; none is a crash.
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
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		file, err := decodePyTorch(b)
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
