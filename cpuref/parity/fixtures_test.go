package parity

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/checkpoint"
)

// fixtures are the tensors of a file in testdata.
type fixtures struct{ *checkpoint.File }

func loadFixtures(t *testing.T, name string) fixtures {
	t.Helper()
	f, err := checkpoint.Load(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return fixtures{f}
}

// get returns a tensor that must exist.
func (f fixtures) get(t *testing.T, name string) checkpoint.Tensor {
	t.Helper()
	tensor, ok := f.Tensor(name)
	if !ok {
		t.Fatalf("the fixtures have no tensor %q; run testdata/fixtures.py", name)
	}
	return tensor
}

// loadJSON decodes a file in testdata.
func loadJSON(t *testing.T, name string, into any) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// channelsLast returns a tensor (A, C, H, W) as (A, H, W, C): an image batch
// or a convolution's weight in the device's layout.
func channelsLast[T any](data []T, shape []int) ([]T, []int) {
	n, c, hw := shape[0], shape[1], shape[2]*shape[3]
	out := make([]T, len(data))
	for a := range n {
		for ch := range c {
			for p := range hw {
				out[(a*hw+p)*c+ch] = data[(a*c+ch)*hw+p]
			}
		}
	}
	return out, []int{n, shape[2], shape[3], c}
}
