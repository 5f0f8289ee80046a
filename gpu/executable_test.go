//go:build cgo

package gpu

import (
	"errors"
	"strings"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/gpu/gputest"
)

// For a chip that is not there, the driver compiles a shader and tells what it made
// of it; a device for that cannot run anything.
func TestInspect(t *testing.T) {
	gputest.Use(t, gputest.AMDManifest(t))
	t.Setenv("RADV_FORCE_FAMILY", "navi21")
	if _, err := Open("0", Options{}); !errors.Is(err, ErrNoDevice) {
		t.Errorf("opened to run: %v, want ErrNoDevice", err)
	}
	d, err := Open("0", Options{Inspect: true})
	if err != nil {
		t.Fatal(err)
	}
	p, err := d.NewPipeline(axpyDesc(3))
	if err != nil {
		t.Fatal(err)
	}
	x, err := p.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if n := x.Statistics["VGPRs"]; x.SubgroupSize != 64 || n < 1 || n > 256 || x.Statistics["Code size"] == 0 {
		t.Errorf("subgroups of %d, statistics %v", x.SubgroupSize, x.Statistics)
	}
	if code := x.Representations["Assembly"]; !strings.HasPrefix(code, "BB0:") || !strings.Contains(code, "s_endpgm") {
		t.Errorf("disassembly %q", code)
	}
	if _, err := d.NewBuffer(4); !errors.Is(err, errOnlyInspected) {
		t.Errorf("buffer: %v", err)
	}
	if _, err := d.NewRecorder(false); !errors.Is(err, errOnlyInspected) {
		t.Errorf("recorder: %v", err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

// A device opened to run keeps nothing to tell, and drivers that cannot tell are
// not opened for inspection.
func TestNotInspected(t *testing.T) {
	gputest.Use(t, gputest.SoftwareManifest(t))
	d := openDevice(t, Options{})
	p, err := d.NewPipeline(axpyDesc(3))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Executable(); !errors.Is(err, errNotInspected) {
		t.Errorf("%v, want errNotInspected", err)
	}
	if _, err := Open("0", Options{Inspect: true}); err == nil || !strings.Contains(err.Error(), extExecutables) {
		t.Errorf("%v, want an error that names %s", err, extExecutables)
	}
}
