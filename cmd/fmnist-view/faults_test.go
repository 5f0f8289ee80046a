//go:build view && cgo

package main

import (
	"cmp"
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/gpu/gputest"
)

var faultsEach = flag.Int("faults", 0, "TestWindowFaults makes every Nth Vulkan call fail; 0 tries each presentation call once")

// These calls, and the presentation calls among them, open the window and show the first
// few frames. Later frames make the same calls again.
const firstCalls, firstPresentationCalls = 140, 15

// Whichever Vulkan call of the window fails, and however, the program ends in one line of
// error, or shows its frames nevertheless. A swapchain or surface that no longer fits
// is replaced. No Vulkan object is left, and the validation layer has nothing to say.
func TestWindowFaults(t *testing.T) {
	display(t)
	f := windowFaults{t: t, run: trained(t), control: gputest.NewControl(t), outcomes: map[string]int{}}
	gputest.Use(t, gputest.Driver{Name: "GTX", Type: "discrete", Control: f.control}.Build(t))
	t.Setenv("NODEVICE_SELECT", "1") // Mesa's layer crashes if extensions cannot be listed
	whole := f.try(0, gputest.Failure{})
	if whole.Calls < firstCalls || whole.PresentationCalls < firstPresentationCalls {
		t.Fatalf("without a fault: %+v", whole)
	}
	if *faultsEach == 0 {
		for call := 1; call <= firstPresentationCalls; call++ {
			failure := gputest.Failures[call%len(gputest.Failures)]
			failure.Presentation = true // also if any call can fail so
			f.try(call, failure)
		}
	} else {
		f.sweep(*faultsEach)
	}
	t.Logf("outcomes %v", f.outcomes)
}

// windowFaults shows a run on a driver that fails when it is told to.
type windowFaults struct {
	t        *testing.T
	run      string
	control  gputest.Control
	outcomes map[string]int // by function and exit code
}

// sweep makes every nth call fail with each result that it can have.
func (f *windowFaults) sweep(nth int) {
	n := 0
	for _, failure := range gputest.Failures {
		calls := firstCalls
		if failure.Presentation {
			calls = firstPresentationCalls
		}
		for call := 1; call <= calls; call++ {
			if n++; n%nth == 0 {
				f.try(call, failure)
			}
		}
	}
}

// try makes a call fail and checks how the program ends.
func (f *windowFaults) try(call int, failure gputest.Failure) gputest.Report {
	f.t.Helper()
	f.control.Order(f.t, call, failure)
	args := []string{f.run, "--size", "320x200", "--measure", ".001"}
	if failure.Presentation { // the layer crashes or errs where other calls fail
		args = append(args, "--validate")
	}
	code, out := startAs(f.t, args...).end()
	r := f.control.Report(f.t)
	what := fmt.Sprintf("call %d, %s: %s: exit code %d, %q", call, r.Failed, failure.Name, code, out[:min(len(out), 500)])
	replaced := strings.HasSuffix(failure.Name, "_KHR") && slices.Contains([]string{"vkAcquireNextImageKHR", "vkQueuePresentKHR"}, r.Failed)
	// The layer asks the driver itself, and takes no notice of failures.
	layer := r.Failed == "vkGetPhysicalDeviceSurfaceCapabilitiesKHR" && strings.Contains(out, "vkCreateSwapchainKHR(): pCreateInfo")
	switch {
	case strings.Count(out, "\n") != 1:
		f.t.Errorf("%s: want one line", what)
	case code == 0 && strings.Contains(out, "frames/s"):
	case replaced || r.Failed == "":
		f.t.Errorf("%s: want frames", what)
	case strings.Contains(out, "validation") && !layer:
		f.t.Errorf("%s: want no message of the validation layer", what)
	case code == 3 && strings.HasPrefix(out, "fmnist-view: no"): // usable device, Vulkan
	case code == 1 && strings.HasPrefix(out, "fmnist-view: ") && (strings.Contains(out, r.Failed) || layer):
	default:
		f.t.Errorf("%s: want an error that names the call", what)
	}
	if len(r.Live) > 0 && !(code == 3 && failure.Name == "VK_TIMEOUT") { // what a device that hangs still uses cannot be destroyed
		f.t.Errorf("%s: %v left", what, r.Live)
	}
	f.outcomes[fmt.Sprintf("%s %d", cmp.Or(r.Failed, "none"), code)]++
	return r
}
