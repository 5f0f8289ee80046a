package gpu

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unsafe"
)

// Errors that callers can tell apart with [errors.Is]. Returned errors wrap
// them in one line that names the cause and the remedy.
var (
	// ErrNoVulkan: this build or this machine has no usable Vulkan loader.
	ErrNoVulkan = errors.New("no Vulkan")
	// ErrNoDevice: no device matches the selector, the one that does cannot be
	// used, or there is none to pick.
	ErrNoDevice = errors.New("no usable Vulkan device")
	// ErrOutOfMemory: the device (or the host, for staging) has no memory left.
	ErrOutOfMemory = errors.New("out of memory")
	// ErrDeviceLost: the driver gave up on the device. Start a new process or
	// call [Open] again.
	ErrDeviceLost = errors.New("device lost")
	// ErrValidation: the validation layer reported something.
	ErrValidation = errors.New("validation layer")
)

// Info describes a Vulkan device.
type Info struct {
	Index         int    `json:"index"` // in the driver's order of enumeration
	Name          string `json:"name"`
	Type          string `json:"type"`        // discrete, integrated, virtual, cpu or other
	UUID          string `json:"uuid"`        // 8-4-4-4-12 hexadecimal digits
	Driver        string `json:"driver"`      // name and version as the driver reports them
	APIVersion    string `json:"api_version"` // highest Vulkan version, "1.3.230"
	VendorID      uint32 `json:"vendor_id"`
	DeviceID      uint32 `json:"device_id"`
	DriverVersion uint32 `json:"driver_version"` // in the vendor's encoding
	MemoryBytes   int64  `json:"memory_bytes"`   // largest device-local heap
	SubgroupSize  int    `json:"subgroup_size"`  // invocations that run in lockstep
	// Cores is the number of units that run workgroups independently (compute
	// units, streaming multiprocessors), or 0 if the driver does not tell.
	Cores int `json:"cores,omitempty"`

	// What shaders may use beyond the core of Vulkan 1.1. [Open] switches on
	// each that the device has.
	Float16           bool `json:"float16"`            // arithmetic on 16-bit floats
	BFloat16          bool `json:"bfloat16"`           // the bfloat16 type
	CooperativeMatrix bool `json:"cooperative_matrix"` // VK_KHR_cooperative_matrix
	// MatrixShapes are the products with float32 sums that subgroups compute on
	// matrix units; nil without CooperativeMatrix.
	MatrixShapes []MatrixShape `json:"matrix_shapes,omitempty"`
	Int8         bool          `json:"int8"`      // arithmetic on 8-bit integers
	Storage8     bool          `json:"storage8"`  // 8-bit loads and stores in storage buffers
	Storage16    bool          `json:"storage16"` // 16-bit loads and stores in storage buffers

	Limits Limits `json:"limits"`

	// Usable means that the device can be opened and executes what is
	// submitted; otherwise Why says what is wrong.
	Usable bool   `json:"usable"`
	Why    string `json:"why,omitempty"`
}

// MatrixShape is a product (M, K)·(K, N) that a subgroup computes at once.
type MatrixShape struct {
	M       int    `json:"m"`
	N       int    `json:"n"`
	K       int    `json:"k"`
	Factors string `json:"factors"` // fp16 or bf16
}

// refuse records that the device cannot be used.
func (i *Info) refuse(why string) { i.Usable, i.Why = false, why }

// Limits are the device's limits on dispatches and buffers.
type Limits struct {
	MaxWorkgroupSize        [3]int `json:"max_workgroup_size"`        // local size in x, y, z
	MaxWorkgroupInvocations int    `json:"max_workgroup_invocations"` // product of the local sizes
	MaxWorkgroupCount       [3]int `json:"max_workgroup_count"`       // of one dispatch in x, y, z
	SharedMemoryBytes       int    `json:"shared_memory_bytes"`       // of one workgroup
	StorageBufferRange      int64  `json:"storage_buffer_range"`      // bytes that one binding can span
	StorageBufferAlignment  int    `json:"storage_buffer_alignment"`  // of a binding's offset, in bytes
	StorageBuffers          int    `json:"storage_buffers"`           // bindings of one pipeline
	PushConstantBytes       int    `json:"push_constant_bytes"`
	MaxAllocations          int    `json:"max_allocations"`      // buffers that can exist at the same time
	MaxAllocationBytes      int64  `json:"max_allocation_bytes"` // of one buffer
	// TimestampPeriod is nanoseconds per tick, or 0 if the device's compute
	// queue has no timestamps.
	TimestampPeriod float64 `json:"timestamp_period"`
}

// MinStorageBuffers is the least [Limits].StorageBuffers of a usable device. Vulkan
// guarantees 4.
const MinStorageBuffers = 8

// Options tell [Open] how to set up a device.
type Options struct {
	// Validate switches on the Khronos validation layer and its checks of
	// synchronisation. Everything it reports, warnings included, is an error.
	Validate bool
	// CacheDir is the folder whose subfolder pipelines keeps compiled pipelines
	// from one process to the next. "" keeps none.
	CacheDir string
	// Inspect opens the device only to look at what its driver makes of shaders,
	// with [Device.NewPipeline] and [Pipeline.Executable]. It need not be able to
	// run anything: Mesa's driver for AMD compiles for chips that the machine lacks.
	Inspect bool
	// Log receives remarks that are not errors, one line each; nil discards them.
	Log func(string)
	// Software lets the selector "" pick a software driver too, after all GPUs.
	Software bool
	// Trial tests a device that has just been opened and returns what keeps it from being
	// used; nil for no test. Devices opened with Inspect are not tested.
	Trial func(*Device) error
	// Window makes Open accept only devices that can present to a window.
	Window *Window
}

// Window is a window of the system to present to.
type Window struct {
	// Extensions are the instance extensions that the window system needs.
	Extensions []string
	// Surface makes a surface (VkSurfaceKHR) of the window on an instance
	// (VkInstance). Open calls it, and [Screen.Draw] does if the surface is lost.
	Surface func(instance unsafe.Pointer) (surface uint64, err error)
}

// String names the device in one line: "0: llvmpipe (cpu)".
func (i Info) String() string { return fmt.Sprintf("%d: %s (%s)", i.Index, i.Name, i.Type) }

// typeRank orders device types by preference; cpu and other are picked only on
// request.
var typeRank = map[string]int{"discrete": 3, "integrated": 2, "virtual": 1}

// selectDevices returns the device that the selector names, or, for "", all
// real GPUs, the best first, and then software drivers if they may be picked; see
// [Open].
func selectDevices(devices []Info, selector string, software bool) ([]Info, error) {
	if selector == "" {
		return ranked(devices, software)
	}
	d, err := selectDevice(devices, strings.TrimSpace(selector))
	return []Info{d}, err
}

func ranked(devices []Info, software bool) ([]Info, error) {
	var gpus []Info
	for _, d := range devices {
		if software || typeRank[d.Type] > 0 {
			gpus = append(gpus, d)
		}
	}
	if len(gpus) == 0 {
		return nil, fmt.Errorf("%w: no GPU, only %s, which must be asked for", ErrNoDevice, listDevices(devices))
	}
	slices.SortStableFunc(gpus, func(a, b Info) int { return typeRank[b.Type] - typeRank[a.Type] })
	return gpus, nil
}

var (
	wholeNumber = regexp.MustCompile(`^[+-]?[0-9]+$`)
	otherNumber = regexp.MustCompile(`^[+-]?(0[xXbBoO][0-9a-fA-F_]+|[0-9][0-9_]*|[0-9]*\.[0-9]+|[0-9]+\.)([eE][+-]?[0-9]+)?$`)
	uuidDigits  = regexp.MustCompile(`^[0-9a-f]{32}$`)
)

// selectDevice returns the one device that the selector names: by its UUID, its
// index, its whole name or part of it, in this order.
func selectDevice(devices []Info, selector string) (Info, error) {
	is := func(kind string, fits func(Info) bool) (Info, error) { return only(devices, kind, selector, fits) }
	uuid := plainUUID(selector)
	switch {
	case selector == "":
		return Info{}, fmt.Errorf("%w: the name of the device is blank; there are %s", ErrNoDevice, listDevices(devices))
	case uuidDigits.MatchString(uuid):
		return is("the UUID", func(d Info) bool { return plainUUID(d.UUID) == uuid })
	case wholeNumber.MatchString(selector):
		index, err := strconv.Atoi(selector)
		return is("the index", func(d Info) bool { return err == nil && d.Index == index })
	case otherNumber.MatchString(selector):
		return Info{}, fmt.Errorf("%w: %q is not an index, which is a whole number; there are %s", ErrNoDevice, selector, listDevices(devices))
	}
	if slices.ContainsFunc(devices, func(d Info) bool { return strings.EqualFold(d.Name, selector) }) {
		return is("the name", func(d Info) bool { return strings.EqualFold(d.Name, selector) })
	}
	return is("a name containing", func(d Info) bool { return strings.Contains(strings.ToLower(d.Name), strings.ToLower(selector)) })
}

// plainUUID returns the digits of a UUID, including one in nvidia-smi's format.
func plainUUID(s string) string {
	return strings.ReplaceAll(strings.TrimPrefix(strings.ToLower(s), "gpu-"), "-", "")
}

// only returns the only device that fits.
func only(devices []Info, kind, selector string, fits func(Info) bool) (Info, error) {
	var found []Info
	for _, d := range devices {
		if fits(d) {
			found = append(found, d)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return Info{}, fmt.Errorf("%w: no device has %s %q; there are %s", ErrNoDevice, kind, selector, listDevices(devices))
	}
	var list []string
	for _, d := range found {
		list = append(list, fmt.Sprintf("%v, UUID %s", d, d.UUID))
	}
	return Info{}, fmt.Errorf("%w: %d devices have %s %q; choose one by its index or UUID: %s", ErrNoDevice, len(found), kind, selector, strings.Join(list, "; "))
}

func listDevices(devices []Info) string {
	var names []string
	for _, d := range devices {
		names = append(names, d.String())
	}
	return strings.Join(names, ", ")
}
