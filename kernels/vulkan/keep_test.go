//go:build cgo

package vulkan

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// Backends that tune at the same time lose nothing of each other's choices; the later
// choice for the same product stays.
func TestTuningsAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tuning", "f.json")
	one, other := &Backend{tuningFile: path}, &Backend{tuningFile: path}
	err := errors.Join(
		one.keep(tuning{"conv_forward 1x2x3": {Splits: 1}, "gemm 1x2x3": {Splits: 1}}),
		other.keep(tuning{"gemm 1x2x3": {Splits: 2}, "gemm 4x5x6": {Splits: 4}}),
		one.keep(tuning{"gemm 7x8x9": {Splits: 8}}),
	)
	if err != nil {
		t.Fatal(err)
	}
	got, err := readTuning(path)
	want := tuning{"conv_forward 1x2x3": {Splits: 1}, "gemm 1x2x3": {Splits: 2}, "gemm 4x5x6": {Splits: 4}, "gemm 7x8x9": {Splits: 8}}
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
	if keys := slices.Sorted(maps.Keys(other.target.tuned)); !slices.Equal(keys, []string{"gemm 1x2x3", "gemm 4x5x6"}) {
		t.Errorf("the other backend uses %v, want its own choices", keys)
	}
}

// A cache that cannot be written is told before anything is measured.
func TestTuneChecksTheCacheFirst(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	b := &Backend{tuningFile: filepath.Join(file, "tuning", "f.json")} // without a device: measuring panics
	err := b.Tune(&kernels.Plan{}, "all", nil)
	var keep *kernels.KeepError
	if !errors.As(err, &keep) || keep.Found || keep.Path != b.tuningFile {
		t.Errorf("%v, want that %s cannot be written", err, b.tuningFile)
	}
}
