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

// vulkanFaults are the results with which calls fail.
var vulkanFaults = []struct {
	name   string
	result int32
}{
	{"VK_ERROR_OUT_OF_HOST_MEMORY", -1},
	{"VK_ERROR_OUT_OF_DEVICE_MEMORY", -2},
	{"VK_ERROR_INITIALIZATION_FAILED", -3},
	{"VK_ERROR_DEVICE_LOST", -4},
	{"VK_TIMEOUT", 2},
}

// Whichever Vulkan call of a training fails, and however, the training ends in one line
// of error, or trains as if nothing had happened, or on the CPU if the device cannot be
// opened. Nothing is lost: the next training, or its resumption, ends with the files of
// one without a fault. No Vulkan object is left.
func TestVulkanFaults(t *testing.T) {
	if *faultsEach == 0 {
		t.Skip("make torture runs it")
	}
	isolateCache(t)
	f := newFaultSweep(t)
	outcomes := map[string]int{}
	for call := 1; call <= f.calls; call++ {
		for i, fault := range vulkanFaults {
			if (call*len(vulkanFaults)+i)%*faultsEach == 0 {
				outcomes[f.try(t, call, fault.name, fault.result)]++
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
		f.control.Order(t, 0, 0)
		f.keep(t)
	}
	calls, _, live := f.control.Report(t)
	if f.calls = calls; len(live) > 0 || calls == 0 || len(f.want) != 2 {
		t.Fatalf("without a fault: %d calls, %v left, devices %v", calls, live, slices.Collect(maps.Keys(f.want)))
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
func (f *faultSweep) try(t *testing.T, call int, name string, result int32) (outcome string) {
	dir := filepath.Join(t.TempDir(), "r")
	f.control.Order(t, call, result)
	stdout, stderr, code := runTrainOnly(t, dir, f.settings)
	_, failed, live := f.control.Report(t)
	what := fmt.Sprintf("call %d, %s: %s", call, failed, name)
	outcome = "error"
	switch {
	case failed == "":
		outcome = "not reached"
	case code == exitInterrupted && deviceOf(stdout) == "CPU":
		outcome = "trained on the CPU"
	case code == exitInterrupted:
		outcome = "trained"
	case code != exitFailed || strings.Count(stderr, "\n") != 1 || !strings.HasPrefix(stderr, "fmnist-gpu: ") || !strings.Contains(stderr, failed):
		t.Errorf("%s: exit code %d, %q, want one line of error that names the call", what, code, stderr)
	}
	if len(live) > 0 && !(outcome == "trained on the CPU" && name == "VK_TIMEOUT") { // what a device that hangs still uses cannot be destroyed
		t.Errorf("%s: %v left", what, live)
	}
	f.control.Order(t, 0, 0)
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
