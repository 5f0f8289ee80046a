//go:build cgo

package gpu

import (
	"errors"
	"strings"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/gpu/gputest"
)

func TestOutOfMemory(t *testing.T) {
	d := testDevice(t)
	for _, bytes := range []int64{d.Info().MemoryBytes + 1, 1 << 60, 1<<63 - 1} {
		_, err := d.NewBuffer(bytes)
		if !errors.Is(err, ErrOutOfMemory) || !strings.Contains(err.Error(), d.Info().Name) {
			t.Errorf("%d bytes: %v, want ErrOutOfMemory and the device's name", bytes, err)
		}
	}
	for _, bytes := range []int64{0, -1} {
		if _, err := d.NewBuffer(bytes); err == nil || errors.Is(err, ErrOutOfMemory) {
			t.Errorf("%d bytes: %v", bytes, err)
		}
	}
	if _, err := d.NewBuffer(16); err != nil {
		t.Errorf("after running out of memory: %v", err)
	}
}

// What other processes use of a device is not free.
func TestBudget(t *testing.T) {
	busy := gtx()
	busy.Budget = 100 << 20
	gputest.Use(t, busy.Build(t))
	d, err := Open("", Options{})
	must(t, err)
	defer d.Close()
	if free := d.FreeBytes(); free != 100<<20 {
		t.Errorf("%d bytes are free, want 100 MiB", free)
	}
	must(t, d.Fits([]int64{60 << 20, 40 << 20}))
	for _, sizes := range [][]int64{{101 << 20}, {60 << 20, 41 << 20}} {
		if err := d.Fits(sizes); !errors.Is(err, ErrOutOfMemory) || !strings.Contains(err.Error(), "GTX has 100 MiB of ") {
			t.Errorf("%v: %v, want ErrOutOfMemory", sizes, err)
		}
	}
	if _, err := d.NewBuffer(101 << 20); !errors.Is(err, ErrOutOfMemory) {
		t.Errorf("a buffer of 101 MiB: %v", err)
	}
}

// A failure in the driver, which our own check did not foresee, gives the same
// error and leaves nothing behind.
func TestDriverRefusesMemory(t *testing.T) {
	d := openDevice(t, Options{})
	_, err := d.allocate(1<<46, bufferUsage, 0, 0)
	if !errors.Is(err, ErrOutOfMemory) || !strings.Contains(err.Error(), d.Info().Name) {
		t.Errorf("%v, want ErrOutOfMemory and the device's name", err)
	}
}

func TestMemoryBytes(t *testing.T) {
	d := testDevice(t)
	if n := d.MemoryBytes(); n != 0 {
		t.Errorf("%d bytes in use before the first buffer", n)
	}
	a, b := newBuffer(t, d, 1<<20), newBuffer(t, d, 3)
	if n := d.MemoryBytes(); n < 1<<20+3 || n > 1<<21 {
		t.Errorf("%d bytes in use, want a little over 1 MiB", n)
	}
	a.Close()
	a.Close()
	b.Close()
	if n := d.MemoryBytes(); n != 0 {
		t.Errorf("%d bytes in use after the last buffer", n)
	}
	if d.Upload(a, 0, []byte{1}) == nil || d.Download(a, 0, make([]byte, 1)) == nil {
		t.Error("a closed buffer can be used")
	}
}
