//go:build cgo && linux

package gpu

import (
	"math"
	"os"
	"os/exec"
	"runtime"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/gpu/gputest"
)

// A device that is opened, used and closed leaves no C memory behind, neither the
// driver's nor that of vulkan-go's arguments. Memory that the process occupies does not
// show that: the C library keeps what is freed.
func TestNoMemoryIsLeftBehind(t *testing.T) {
	if os.Getenv("GPU_TEST_HEAP") == "" {
		gputest.Use(t, gputest.SoftwareManifest(t)) // which is known to leave nothing
		child := exec.Command(os.Args[0], "-test.run=^TestNoMemoryIsLeftBehind$", "-test.v")
		child.Env = append(os.Environ(), gputest.ExactHeap, "GPU_TEST_HEAP=1")
		out, err := child.CombinedOutput()
		if t.Logf("%s", out); err != nil {
			t.Error(err)
		}
		return
	}
	// Another device keeps the driver loaded: on AMD's processors Mesa allocates a mask of
	// cores whenever it is loaded (128 bytes, in util_cpu_detect), and never frees it.
	keep, err := Open("0", Options{})
	must(t, err)
	defer keep.Close()
	const blocks, cycles, smallest = 5, 12, 16 // bytes that C can allocate
	used := gputest.CBytes(t)
	leaked := int64(math.MaxInt64)
	for range blocks {
		for range cycles {
			openAndUse(t)
		}
		runtime.GC() // frees what finalizers hold
		before := used
		used = gputest.CBytes(t)
		t.Logf("%d bytes in use", used)
		leaked = min(leaked, used-before) // a leak adds to each block, a new thread to one
	}
	if leaked >= cycles*smallest {
		t.Errorf("%d bytes are left behind per cycle", leaked/cycles)
	}
}

// openAndUse opens a device, has it do a little of everything and closes it.
func openAndUse(t *testing.T) {
	d, err := Open("0", Options{})
	must(t, err)
	p := axpy(t, d, 1)
	x, y := newBuffer(t, d, 1024), newBuffer(t, d, 1024)
	must(t, d.Upload(x, 0, randomBytes(1024, 1)))
	r := newRecorder(t, d, d.Info().Limits.TimestampPeriod > 0)
	must(t, r.Dispatch(p, []Region{whole(x), whole(y)}, axpyPush(64, 2), 1, 1, 1))
	must(t, d.Run(finish(t, r), 2))
	download(t, y)
	must(t, d.Close())
}
