//go:build cgo

package gpu

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fmnist-gpu/fmnist-gpu/gpu/gputest"
)

func gtx() gputest.Driver { return gputest.Driver{Name: "GTX", Type: "discrete", UUIDByte: 1} }
func arc() gputest.Driver { return gputest.Driver{Name: "Arc", Type: "integrated", UUIDByte: 2} }

// Open picks the best device that works, says what was wrong with better ones,
// and never picks a software driver unless asked to.
func TestPassesOverDevicesThatDoNotWork(t *testing.T) {
	mesa, works := gputest.SoftwareManifest(t), arc().Build(t)
	for name, c := range map[string]struct {
		faults map[string]int32
		says   string
	}{
		"no device":         {map[string]int32{"vkCreateDevice": -3}, "vkCreateDevice: VK_ERROR_INITIALIZATION_FAILED"},
		"out of memory":     {map[string]int32{"vkCreateDevice": -2}, "out of memory: vkCreateDevice"},
		"lost":              {map[string]int32{"vkCreateDevice": -4}, "device lost"},
		"no fence":          {map[string]int32{"vkCreateFence": -1000072003}, "VK_ERROR_INVALID_EXTERNAL_HANDLE"},
		"no command pool":   {map[string]int32{"vkCreateCommandPool": -1}, "vkCreateCommandPool"},
		"no memory":         {map[string]int32{"vkAllocateMemory": -2}, "vkAllocateMemory: VK_ERROR_OUT_OF_DEVICE_MEMORY"},
		"no mapping":        {map[string]int32{"vkMapMemory": -5}, "VK_ERROR_MEMORY_MAP_FAILED"},
		"no cache":          {map[string]int32{"vkCreatePipelineCache": -1}, "vkCreatePipelineCache"},
		"no submission":     {map[string]int32{"vkQueueSubmit": -4}, "vkQueueSubmit: VK_ERROR_DEVICE_LOST"},
		"submits for show":  {map[string]int32{"vkQueueSubmit": 0, "vkWaitForFences": 0}, "does not execute what is submitted"},
		"no list of extras": {map[string]int32{"vkEnumerateDeviceExtensionProperties": -1}, "vkEnumerateDeviceExtensionProperties"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("NODEVICE_SELECT", "1") // Mesa's layer crashes if extensions cannot be listed
			broken := gtx()
			broken.Faults = c.faults
			manifest := broken.Build(t)
			gputest.Use(t, manifest, works, mesa)
			d, err := Open("", Options{})
			must(t, err)
			if d.Info().Name != "Arc" || len(d.PassedOver()) != 1 || !strings.Contains(d.PassedOver()[0].Error(), "GTX") ||
				!strings.Contains(d.PassedOver()[0].Error(), c.says) {
				t.Errorf("picked %v, passed over %v; want Arc, and GTX with %q", d.Info(), d.PassedOver(), c.says)
			}
			must(t, d.Close())

			gputest.Use(t, manifest, mesa)
			for _, selector := range []string{"", "GTX"} {
				if _, err := Open(selector, Options{}); !errors.Is(err, ErrNoDevice) || !strings.Contains(err.Error(), c.says) {
					t.Errorf("Open(%q): %v, want ErrNoDevice with %q", selector, err, c.says)
				}
			}
			devices, problems := List(nil)
			if len(devices) != 2 || len(problems) != 0 {
				t.Fatalf("%v, %v, want two devices", devices, problems)
			}
			for _, i := range devices {
				if broken := i.Name == "GTX"; i.Usable == broken || strings.Contains(i.Why, c.says) != broken {
					t.Errorf("%v: usable %t, %q", i, i.Usable, i.Why)
				}
			}
		})
	}
}

// Open abandons a device that never responds.
func TestDeviceThatHangs(t *testing.T) {
	defer func(before time.Duration) { patience = before }(patience)
	patience = time.Millisecond
	hangs := gtx()
	hangs.Faults = map[string]int32{"vkQueueSubmit": 0}
	gputest.Use(t, hangs.Build(t))
	if _, err := Open("", Options{}); !errors.Is(err, ErrNoDevice) || !strings.Contains(err.Error(), "did not finish") {
		t.Errorf("%v, want ErrNoDevice", err)
	}
	patience = time.Minute
	waits := gtx()
	waits.Faults = map[string]int32{"vkWaitForFences": 2}
	gputest.Use(t, waits.Build(t), arc().Build(t))
	d, err := Open("", Options{})
	must(t, err)
	if d.Info().Name != "Arc" || len(d.PassedOver()) != 1 {
		t.Errorf("picked %v, passed over %v", d.Info(), d.PassedOver())
	}
	must(t, d.Close())
}

// A driver that makes the loader fail does not hide the devices of others.
func TestLeavesOutDriversThatFail(t *testing.T) {
	damaged := filepath.Join(t.TempDir(), "damaged.json")
	must(t, os.WriteFile(damaged, []byte("{"), 0o666))
	failing := func(function string, result int32) string {
		d := gtx()
		d.Faults = map[string]int32{function: result}
		return d.Build(t)
	}
	works := arc().Build(t)
	for name, c := range map[string]struct{ manifest, says string }{
		"damaged manifest":     {damaged, damaged},
		"no instance":          {failing("vkCreateInstance", -1), "vkCreateInstance: VK_ERROR_OUT_OF_HOST_MEMORY"},
		"devices not listed":   {failing("vkEnumeratePhysicalDevices", -1), "vkEnumeratePhysicalDevices: VK_ERROR_OUT_OF_HOST_MEMORY"},
		"driver without a GPU": {failing("vkEnumeratePhysicalDevices", -3), ""},
	} {
		t.Run(name, func(t *testing.T) {
			gputest.Use(t, c.manifest, works)
			devices, problems := List(nil)
			if len(devices) != 1 || devices[0].Name != "Arc" || !devices[0].Usable {
				t.Fatalf("%v, %v, want Arc", devices, problems)
			}
			if c.says != "" && !slices.ContainsFunc(problems, func(err error) bool { return strings.Contains(err.Error(), c.says) }) {
				t.Errorf("problems %v, want one with %q", problems, c.says)
			}

			gputest.Use(t, c.manifest)
			devices, problems = List(nil)
			if len(devices) != 0 || len(problems) != 1 || !(errors.Is(problems[0], ErrNoVulkan) || errors.Is(problems[0], ErrNoDevice)) {
				t.Errorf("alone: %v, %v, want no device", devices, problems)
			}
			if _, err := Open("0", Options{}); !errors.Is(err, ErrNoVulkan) && !errors.Is(err, ErrNoDevice) {
				t.Errorf("alone: %v, want ErrNoVulkan or ErrNoDevice", err)
			}
		})
	}
}

// The error names a damaged layer manifest. It does not blame a lack of memory or an old loader.
func TestDamagedLayer(t *testing.T) {
	requireVulkan(t)
	home := t.TempDir()
	t.Setenv("XDG_DATA_HOME", home)
	dir := filepath.Join(home, "vulkan", "implicit_layer.d")
	must(t, os.MkdirAll(dir, 0o777))
	file := filepath.Join(dir, "x.json")
	must(t, os.WriteFile(file, []byte("not json"), 0o666))
	if got := damagedManifest(layerManifests()); got != file {
		t.Errorf("the damaged manifest is %q, want %s", got, file)
	}
	devices, problems := List(nil)
	if len(devices) > 0 {
		t.Skip("skipped: this loader ignores the damaged file")
	}
	if len(problems) != 1 || !errors.Is(problems[0], ErrNoVulkan) || !strings.Contains(problems[0].Error(), file) || strings.Contains(problems[0].Error(), "memory") {
		t.Errorf("%v, want ErrNoVulkan that names %s", problems, file)
	}
}

// However odd a driver is, its device's description is sane and valid JSON.
func TestOddDevice(t *testing.T) {
	odd := gputest.Driver{Name: "Odd", Type: "discrete", OldVulkan: true, NoPeriod: true}
	gputest.Use(t, odd.Build(t))
	devices, problems := List(nil)
	if len(devices) != 1 || len(problems) != 0 {
		t.Fatalf("%v, %v, want one device", devices, problems)
	}
	if i := devices[0]; i.Usable || !strings.Contains(i.Why, "Vulkan 1.0") || i.Limits.TimestampPeriod != 0 {
		t.Errorf("usable %t, %q, timestamp period %v", i.Usable, i.Why, i.Limits.TimestampPeriod)
	}
	if _, err := json.Marshal(devices); err != nil {
		t.Error(err)
	}
}
