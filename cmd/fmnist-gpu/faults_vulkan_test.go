//go:build cgo

package main

import (
	"flag"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/gpu/gputest"
)

var faultsEach = flag.Int("faults", 0, "TestVulkanFaults makes every Nth Vulkan call of a training fail; 0 skips it")

// Whichever Vulkan call of a training fails, and however, the training ends in one line
// of error, or trains as if nothing had happened, or on the CPU if the device cannot be
// opened. Nothing is lost: the next training, or its resumption, ends with the files of
// one without a fault. No Vulkan object is left.
func TestVulkanFaults(t *testing.T) {
	if *faultsEach == 0 {
		t.Skip("skipped: make torture runs it")
	}
	isolateCache(t)
	collectAlways(t)
	f := newFaultSweep(t)
	outcomes := map[string]int{}
	n := 0
	for call := 1; call <= f.calls; call++ {
		for _, failure := range gputest.Failures {
			if failure.Presentation {
				continue
			}
			if n++; n%*faultsEach == 0 {
				outcomes[f.try(t, call, failure)]++
			}
		}
	}
	t.Logf("%d calls; outcomes %v", f.calls, outcomes)
	if outcomes["error"] == 0 {
		t.Error("no call ended a training")
	}
}

// faultSweep is a training on a driver that fails when it is told to.
type faultSweep struct {
	control  gputest.Control
	settings string
	calls    int                          // of a training without a fault
	want     map[string]map[string]string // the files of a training without a fault, by its device
}

func newFaultSweep(t *testing.T) *faultSweep {
	dir := t.TempDir()
	f := &faultSweep{control: gputest.NewControl(t), settings: filepath.Join(dir, "settings.yaml"), want: map[string]map[string]string{}}
	writeLetters(t, dir, 260, 52)
	writeFile(t, f.settings, "{model: logistic, epochs: 2, checkpoint-every: 0.000001, dataset: "+dir+"}")
	gputest.Use(t, filepath.Join(dir, "none.json"))
	f.keep(t)
	gputest.Use(t, gputest.Driver{Name: "GTX", Type: "discrete", UUIDByte: 1, Control: f.control}.Build(t))
	t.Setenv("NODEVICE_SELECT", "1") // Mesa's layer crashes if extensions cannot be listed
	for range 2 {                    // the first fills the caches
		f.control.Order(t, 0, gputest.Failure{})
		f.keep(t)
	}
	r := f.control.Report(t)
	if f.calls = r.Calls; len(r.Live) > 0 || r.Calls == 0 || len(f.want) != 2 {
		t.Fatalf("without a fault: %d calls, %v left, devices %v", r.Calls, r.Live, slices.Collect(maps.Keys(f.want)))
	}
	return f
}

// keep trains without a fault.
func (f *faultSweep) keep(t *testing.T) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "r")
	stdout, stderr, code := runTrainOnly(t, dir, f.settings)
	if code != exitInterrupted {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	f.want[deviceOf(stdout)] = filesOf(t, dir)
}

// deviceOf returns where a training ran, by its first line.
func deviceOf(stdout string) string {
	if strings.HasPrefix(stdout, "device: GTX (Vulkan)") {
		return "Vulkan"
	}
	return "CPU"
}

// try makes a call fail, checks how the training ends, and returns how.
func (f *faultSweep) try(t *testing.T, call int, failure gputest.Failure) (outcome string) {
	dir := filepath.Join(t.TempDir(), "r")
	f.control.Order(t, call, failure)
	stdout, stderr, code := runTrainOnly(t, dir, f.settings)
	r := f.control.Report(t)
	what := fmt.Sprintf("call %d, %s: %s", call, r.Failed, failure.Name)
	outcome = "error"
	switch {
	case r.Failed == "":
		outcome = "not reached"
	case code == exitInterrupted && deviceOf(stdout) == "CPU":
		outcome = "trained on the CPU"
	case code == exitInterrupted:
		outcome = "trained"
	case code != exitFailed || strings.Count(stderr, "\n") != 1 || !strings.HasPrefix(stderr, "fmnist-gpu: ") || !strings.Contains(stderr, r.Failed):
		t.Errorf("%s: exit code %d, %q, want one line of error that names the call", what, code, stderr)
	}
	if len(r.Live) > 0 && !(outcome == "trained on the CPU" && failure.Name == "VK_TIMEOUT") { // what a device that hangs still uses cannot be destroyed
		t.Errorf("%s: %v left", what, r.Live)
	}
	f.control.Order(t, 0, gputest.Failure{})
	if outcome == "error" {
		if stdout, stderr, code = runTrainOnly(t, dir, f.settings); code != exitInterrupted {
			t.Errorf("%s: afterwards: exit code %d, %s", what, code, stderr)
		}
	}
	if got := filesOf(t, dir); !maps.Equal(got, f.want[deviceOf(stdout)]) {
		t.Errorf("%s: %s", what, difference(got, f.want[deviceOf(stdout)]))
	}
	return outcome
}
