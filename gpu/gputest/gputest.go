// Package gputest builds Vulkan drivers that misbehave, for tests of what
// happens on machines with such drivers.
package gputest

import (
	"bytes"
	_ "embed"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

//go:embed testdata/driver.c
var source []byte

// Driver describes a driver that disguises a software driver of this machine.
type Driver struct {
	Name      string           // of its device
	Type      string           // of its device: discrete, integrated, virtual or cpu
	UUIDByte  byte             // every byte of its device's UUID
	OldVulkan bool             // its device has Vulkan 1.0 only
	NoPeriod  bool             // its device's timestamp period is infinite
	Budget    int64            // bytes of memory that are free on its device, if not 0
	Faults    map[string]int32 // Vulkan functions that do nothing but return this VkResult
	Control   Control          // counts its calls and makes one of them fail, if not ""
}

// Control is the file by which a test counts the calls of a driver, in this process or
// another, and makes one of them fail.
type Control string

// NewControl returns a control that counts, for [Driver].Control.
func NewControl(t testing.TB) Control {
	t.Helper()
	c := Control(filepath.Join(t.TempDir(), "control"))
	c.Order(t, 0, Failure{})
	return c
}

// kinds are the kinds of objects in the order of driver.c.
var kinds = [...]string{"instance", "device", "buffer", "memory", "fence", "shader module", "set layout", "pipeline layout", "pipeline", "pipeline cache", "command pool", "descriptor pool", "query pool",
	"image", "image view", "sampler", "render pass", "framebuffer", "semaphore", "surface", "swapchain"}

// Failure is a VkResult with which a call can fail.
type Failure struct {
	Name         string
	Result       int32
	Presentation bool // of a call of surfaces or swapchains
}

// Failures are the results with which calls fail: most of them any call.
var Failures = []Failure{
	{"VK_ERROR_OUT_OF_HOST_MEMORY", -1, false},
	{"VK_ERROR_OUT_OF_DEVICE_MEMORY", -2, false},
	{"VK_ERROR_INITIALIZATION_FAILED", -3, false},
	{"VK_ERROR_DEVICE_LOST", -4, false},
	{"VK_TIMEOUT", 2, false},
	{"VK_ERROR_OUT_OF_DATE_KHR", -1000001004, true},
	{"VK_ERROR_SURFACE_LOST_KHR", -1000000000, true},
	{"VK_SUBOPTIMAL_KHR", 1000001003, true},
}

// control is the content of the file.
type control struct {
	Fault, Result, Presentation, Calls, PresentationCalls int64
	Live                                                  [len(kinds)]int64
	Failed                                                [64]byte
}

// Order resets the counts and makes one call fail: it does nothing and returns the
// failure's result. Calls are numbered from 1; 0 makes none fail. For a presentation
// failure, only presentation calls are numbered. No driver may be in use.
func (c Control) Order(t testing.TB, call int, f Failure) {
	t.Helper()
	order := control{Fault: int64(call), Result: int64(f.Result)}
	if f.Presentation {
		order.Presentation = 1
	}
	var b bytes.Buffer
	err := binary.Write(&b, binary.NativeEndian, order)
	if err == nil {
		err = os.WriteFile(string(c), b.Bytes(), 0o666)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Report is what has happened since an order.
type Report struct {
	Calls, PresentationCalls int            // the latter are among the former
	Failed                   string         // the function whose call failed, or ""
	Live                     map[string]int // how many objects of each kind have been created but not destroyed
}

// Report returns what has happened since the order.
func (c Control) Report(t testing.TB) Report {
	t.Helper()
	text, err := os.ReadFile(string(c))
	var is control
	if err == nil {
		err = binary.Read(bytes.NewReader(text), binary.NativeEndian, &is)
	}
	if err != nil {
		t.Fatal(err)
	}
	r := Report{int(is.Calls), int(is.PresentationCalls), string(bytes.TrimRight(is.Failed[:], "\x00")), map[string]int{}}
	for i, n := range is.Live {
		if n != 0 {
			r.Live[kinds[i]] = int(n)
		}
	}
	return r
}

var types = map[string]int{"other": 0, "integrated": 1, "discrete": 2, "virtual": 3, "cpu": 4}

// Build compiles the driver and returns its manifest, for [Use]. If there is no
// C compiler or no software driver to disguise, it skips the test, or fails it
// if FMNIST_REQUIRE_VULKAN is 1.
func (d Driver) Build(t testing.TB) (manifest string) {
	t.Helper()
	dir := t.TempDir()
	library, file := filepath.Join(dir, "driver.so"), filepath.Join(dir, "driver.c")
	if err := os.WriteFile(file, source, 0o666); err != nil {
		t.Fatal(err)
	}
	headers, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/vulkan-go/vulkan").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var faults strings.Builder
	for function, result := range d.Faults {
		fmt.Fprintf(&faults, "FAULT(%s,%d) ", function, result)
	}
	api, period := "0", "1.0f"
	if d.OldVulkan {
		api = "VK_MAKE_VERSION(1,0,65)"
	}
	if d.NoPeriod {
		period = "__builtin_inff()"
	}
	compile(t, library, file, "-I", strings.TrimSpace(string(headers)),
		fmt.Sprintf("-DREAL=%q", softwareDriver(t)), fmt.Sprintf("-DNAME=%q", d.Name), fmt.Sprintf("-DTYPE=%d", types[d.Type]),
		fmt.Sprintf("-DCONTROL=%q", d.Control), "-DAPI="+api, "-DPERIOD="+period, fmt.Sprintf("-DBUDGET=%dLL", d.Budget), fmt.Sprintf("-DUUID_BYTE=%d", d.UUIDByte), "-DFAULTS="+faults.String())
	manifest = filepath.Join(dir, "driver.json")
	text, err := json.Marshal(map[string]any{"file_format_version": "1.0.0", "ICD": map[string]string{"library_path": library, "api_version": "1.3.0"}})
	if err == nil {
		err = os.WriteFile(manifest, text, 0o666)
	}
	if err != nil {
		t.Fatal(err)
	}
	return manifest
}

// Use makes the Vulkan loader see only the drivers of these manifests, for the
// rest of the test and in processes that it starts.
func Use(t testing.TB, manifests ...string) {
	t.Helper()
	list := strings.Join(manifests, string(filepath.ListSeparator))
	for _, variable := range []string{"VK_DRIVER_FILES", "VK_ICD_FILENAMES"} {
		t.Setenv(variable, list)
	}
}

// SoftwareManifest returns the manifest of Mesa's software driver.
func SoftwareManifest(t testing.TB) string {
	t.Helper()
	return installed(t, "lvp_icd*.json", "Mesa's software driver")
}

// AMDManifest returns the manifest of Mesa's driver for AMD, which compiles without
// a device for the chip that RADV_FORCE_FAMILY names.
func AMDManifest(t testing.TB) string {
	t.Helper()
	return installed(t, "radeon_icd*.json", "Mesa's driver for AMD")
}

// installed returns the first of Mesa's manifests that matches a pattern.
func installed(t testing.TB, pattern, what string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join("/usr/share/vulkan/icd.d", pattern))
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		lacking(t, what)
	}
	return found[0]
}

func softwareDriver(t testing.TB) string {
	t.Helper()
	var manifest struct {
		ICD struct {
			Library string `json:"library_path"`
		}
	}
	text, err := os.ReadFile(SoftwareManifest(t))
	if err == nil {
		err = json.Unmarshal(text, &manifest)
	}
	if err != nil {
		t.Fatal(err)
	}
	return manifest.ICD.Library
}

// EmptyLoader builds a Vulkan loader whose only function is
// vkGetInstanceProcAddr, which finds nothing, and returns its folder.
func EmptyLoader(t testing.TB) (dir string) {
	t.Helper()
	dir = t.TempDir()
	file := filepath.Join(dir, "loader.c")
	if err := os.WriteFile(file, []byte("void *vkGetInstanceProcAddr(void *i, const char *n) { return 0; }\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	compile(t, filepath.Join(dir, "libvulkan.so.1"), file)
	return dir
}

// compile compiles a C file to a library.
func compile(t testing.TB, library, file string, flags ...string) {
	t.Helper()
	c := exec.Command(compiler(t), append(flags, "-std=gnu11", "-shared", "-fPIC", "-o", library, file, "-ldl")...)
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", c, err, out)
	}
}

func compiler(t testing.TB) string {
	t.Helper()
	for _, name := range []string{os.Getenv("CC"), "cc", "gcc"} {
		if path, err := exec.LookPath(name); name != "" && err == nil {
			return path
		}
	}
	lacking(t, "a C compiler")
	return ""
}

func lacking(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("FMNIST_REQUIRE_VULKAN") == "1" {
		t.Fatalf("FMNIST_REQUIRE_VULKAN is 1, but there is no %s", what)
	}
	t.Skipf("skipped: this test needs %s", what)
}
