//go:build cgo

package vulkan_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/kernels/vulkan"
)

// What is tuned is kept for the next backend on the device, which computes the
// same; a damaged file is ignored and said so.
func TestTune(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped by -short: a software driver compiles each variant for a second")
	}
	dir, logged := t.TempDir(), ""
	options := vulkan.Options{Validate: true, CacheDir: dir, Log: func(s string) { logged += s }}
	var plan kernels.Plan
	tensor := func(name string, shape ...int) kernels.Tensor { return plan.Tensor(name, kernels.Float32, shape...) }
	a, b, c := tensor("a", 20, 1024), tensor("b", 1024, 12), tensor("c", 20, 12)
	plan.Section("all").Add(kernels.GEMM{A: a, B: b, C: c}, kernels.ReLUForward{X: c, Y: c})

	first := open(t, options)
	want := runOnIntegers(t, first, &plan)
	if first.Tuned() != "" {
		t.Error("tuned before it was")
	}
	told := 0
	if err := first.Tune(&plan, "all", func(done, of int) { told = done * of }); err != nil {
		t.Fatal(err)
	}
	if told != 1 || first.Tuned() == "" {
		t.Errorf("told of %d products, tuned %q; want 1, a name", told, first.Tuned())
	}
	second := open(t, options)
	if second.Tuned() != first.Tuned() || logged != "" {
		t.Errorf("the second backend is tuned %q, the first %q (%s)", second.Tuned(), first.Tuned(), logged)
	}
	for _, b := range []*vulkan.Backend{first, second} {
		for i, got := range runOnIntegers(t, b, &plan) { // integers: exact, however they are added up
			if string(got) != string(want[i]) {
				t.Errorf("%s differs after tuning", plan.Buffers[i].Name)
			}
		}
	}

	files, err := filepath.Glob(filepath.Join(dir, "tuning", "*.json"))
	if err != nil || len(files) != 1 {
		t.Fatalf("files %v (%v), want one", files, err)
	}
	if err := os.WriteFile(files[0], []byte("{"), 0o666); err != nil {
		t.Fatal(err)
	}
	third := open(t, options)
	if third.Tuned() != "" || !strings.Contains(logged, files[0]) {
		t.Errorf("a damaged file: tuned %q, logged %q", third.Tuned(), logged)
	}

	err = third.Tune(&plan, "all", func(done, of int) {
		if done == of { // the cache goes while its tuning runs
			if err := errors.Join(os.RemoveAll(dir), os.WriteFile(dir, nil, 0o666)); err != nil {
				t.Error(err)
			}
		}
	})
	var keep *kernels.KeepError
	if !errors.As(err, &keep) || !keep.Found || third.Tuned() == "" {
		t.Errorf("a cache that went: tuned %q, %v", third.Tuned(), err)
	}
}
