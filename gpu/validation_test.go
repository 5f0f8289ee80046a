//go:build cgo

package gpu

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/gpu/gputest"
)

// provoke opens a device whose validation messages the test expects.
func provoke(t *testing.T) *Device {
	t.Helper()
	requireVulkan(t)
	d, err := Open("0", Options{Validate: true})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestValidationReportsWrongCall(t *testing.T) {
	d := provoke(t)
	desc := axpyDesc(0)
	desc.PushBytes = 4 // the shader reads 8
	_, err := d.NewPipeline(desc)
	if !errors.Is(err, ErrValidation) || !strings.Contains(err.Error(), "axpy") {
		t.Errorf("NewPipeline: %v, want ErrValidation and the pipeline's name", err)
	}
	if len(d.instance.validation.list()) == 0 {
		t.Error("no message is kept")
	}
	must(t, d.Close()) // each message is returned as an error only once
	if len(d.instance.validation.list()) == 0 {
		t.Error("no message is kept after Close")
	}
}

func TestValidationReportsMissingBarrier(t *testing.T) {
	d := provoke(t)
	x, y, p := newBuffer(t, d, 256), newBuffer(t, d, 256), axpy(t, d, 0)
	r := newRecorder(t, d, false)
	must(t, r.Dispatch(p, []Region{whole(x), whole(y)}, axpyPush(64, 1), 1, 1, 1))
	must(t, r.Dispatch(p, []Region{whole(y), whole(x)}, axpyPush(64, 1), 1, 1, 1))
	if _, err := r.Finish(); !errors.Is(err, ErrValidation) || !strings.Contains(err.Error(), "SYNC-HAZARD") ||
		!strings.Contains(err.Error(), "axpy") {
		t.Errorf("Finish: %v, want a hazard and the pipeline's name", err)
	}
	must(t, d.Close())
}

// The error says in one line what the machine lacks, with the remedy. The
// Vulkan loader reads its environment when it starts, so each case runs in a
// separate process.
func TestMissingParts(t *testing.T) {
	cases := map[string]struct {
		env    []string
		remedy string
		is     error
	}{
		"layer":  {[]string{"VK_LAYER_PATH=/nonexistent"}, "vulkan-validationlayers", ErrValidation},
		"driver": {[]string{driverFiles + "=/nonexistent", oldDriverFiles + "=/nonexistent"}, "driver for your GPU", ErrNoVulkan},
	}
	if without := os.Getenv("GPU_TEST_WITHOUT"); without != "" {
		_, err := Open("0", Options{Validate: without == "layer"})
		if c := cases[without]; !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.remedy) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v: want one line with %q", err, c.remedy)
		}
		return
	}
	requireVulkan(t)
	for name, c := range cases {
		child := exec.Command(os.Args[0], "-test.run=^TestMissingParts$")
		child.Env = append(append(os.Environ(), c.env...), "GPU_TEST_WITHOUT="+name)
		if out, err := child.CombinedOutput(); err != nil {
			t.Errorf("without the %s: %v\n%s", name, err, out)
		}
	}
}

// The error says what to install, whatever is wrong with the loader's library.
func TestMissingLoader(t *testing.T) {
	garbage := filepath.Join(t.TempDir(), "libvulkan.so.1")
	must(t, os.WriteFile(garbage, []byte("\x7fELF and nothing more"), 0o777))
	for _, name := range []string{"libnosuchvulkan.so.1", garbage, "libm.so.6"} {
		_, err := findLoader([]string{name})
		if !errors.Is(err, ErrNoVulkan) || !strings.Contains(err.Error(), libraryRemedy()) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v: want one line with the remedy", name, err)
		}
	}
}

// A loader without functions is not called. This needs a separate process,
// since the real loader is loaded here.
func TestEmptyLoader(t *testing.T) {
	if os.Getenv("GPU_TEST_WITHOUT") == "functions" {
		if _, err := Open("0", Options{}); !errors.Is(err, ErrNoVulkan) || !strings.Contains(err.Error(), "vkCreateInstance") {
			t.Errorf("%v: want ErrNoVulkan that names vkCreateInstance", err)
		}
		return
	}
	if runtime.GOOS != "linux" {
		t.Skip("skipped: this system finds libraries in other ways")
	}
	child := exec.Command(os.Args[0], "-test.run=^TestEmptyLoader$")
	child.Env = append(os.Environ(), "LD_LIBRARY_PATH="+gputest.EmptyLoader(t), "GPU_TEST_WITHOUT=functions")
	if out, err := child.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
