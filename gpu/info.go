package gpu

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Errors that callers tell apart with [errors.Is]. What is returned wraps
// them in one line that names the cause and the remedy.
var (
	// ErrNoVulkan: this build or this machine has no usable Vulkan loader.
	ErrNoVulkan = errors.New("no Vulkan")
	// ErrNoDevice: no device fits the selector, or there is none to pick.
	ErrNoDevice = errors.New("no usable Vulkan device")
	// ErrOutOfMemory: the device (or the host, for staging) has no room left.
	ErrOutOfMemory = errors.New("out of memory")
	// ErrDeviceLost: the driver gave up on the device; only a new process or
	// a new [Open] can go on.
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
	Driver        string `json:"driver"`      // name and version as the driver words them
	APIVersion    string `json:"api_version"` // highest Vulkan version, "1.3.230"
	VendorID      uint32 `json:"vendor_id"`
	DeviceID      uint32 `json:"device_id"`
	DriverVersion uint32 `json:"driver_version"` // packed in the vendor's own way
	MemoryBytes   int64  `json:"memory_bytes"`   // largest device-local heap
	SubgroupSize  int    `json:"subgroup_size"`  // invocations that run in lockstep

	// What shaders may use beyond the core of Vulkan 1.1. Each is switched on
	// by [Open] where the device has it.
	Float16           bool `json:"float16"`            // arithmetic on 16-bit floats
	BFloat16          bool `json:"bfloat16"`           // the bfloat16 type
	CooperativeMatrix bool `json:"cooperative_matrix"` // VK_KHR_cooperative_matrix
	Int8              bool `json:"int8"`               // arithmetic on 8-bit integers
	Storage8          bool `json:"storage8"`           // 8-bit loads and stores in storage buffers
	Storage16         bool `json:"storage16"`          // 16-bit loads and stores in storage buffers

	Limits Limits `json:"limits"`
}

// Limits are the bounds that the device sets to dispatches and buffers.
type Limits struct {
	MaxWorkgroupSize        [3]int `json:"max_workgroup_size"`        // local size in x, y, z
	MaxWorkgroupInvocations int    `json:"max_workgroup_invocations"` // product of the local sizes
	MaxWorkgroupCount       [3]int `json:"max_workgroup_count"`       // of one dispatch in x, y, z
	SharedMemoryBytes       int    `json:"shared_memory_bytes"`       // of one workgroup
	StorageBufferRange      int64  `json:"storage_buffer_range"`      // bytes that one binding can span
	StorageBufferAlignment  int    `json:"storage_buffer_alignment"`  // of a binding's offset, in bytes
	StorageBuffers          int    `json:"storage_buffers"`           // bindings of one pipeline
	PushConstantBytes       int    `json:"push_constant_bytes"`
	MaxAllocations          int    `json:"max_allocations"`      // buffers that can exist at a time
	MaxAllocationBytes      int64  `json:"max_allocation_bytes"` // of one buffer
	// TimestampPeriod is nanoseconds a tick; 0 where the device's compute
	// queue has no timestamps.
	TimestampPeriod float64 `json:"timestamp_period"`
}

// Options are how [Open] sets up a device.
type Options struct {
	// Validate switches the Khronos validation layer on, with its checks of
	// synchronisation. Everything it says, warnings included, is an error.
	Validate bool
	// CacheDir is the folder that keeps compiled pipelines from one process
	// to the next. "" is fmnist-gpu/pipelines in the user's cache folder;
	// "off" keeps none.
	CacheDir string
	// Log receives remarks that are no errors, one line each; nil drops them.
	Log func(string)
}

// String names the device in one line: "0: llvmpipe (cpu)".
func (i Info) String() string { return fmt.Sprintf("%d: %s (%s)", i.Index, i.Name, i.Type) }

// typeRank orders device types by preference; cpu and other are never picked
// without being asked for.
var typeRank = map[string]int{"discrete": 3, "integrated": 2, "virtual": 1}

// selectDevice returns the device that the selector names; see [Open].
func selectDevice(devices []Info, selector string) (Info, error) {
	if len(devices) == 0 {
		return Info{}, fmt.Errorf("%w: no driver offers a Vulkan 1.1 device; install the GPU's Vulkan driver", ErrNoDevice)
	}
	if selector == "" {
		return bestDevice(devices)
	}
	if index, err := strconv.Atoi(selector); err == nil {
		for _, d := range devices {
			if d.Index == index {
				return d, nil
			}
		}
	}
	var found []Info
	for _, d := range devices {
		if strings.EqualFold(d.UUID, selector) {
			return d, nil
		}
		if strings.Contains(strings.ToLower(d.Name), strings.ToLower(selector)) {
			found = append(found, d)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return Info{}, fmt.Errorf("%w: none matches %q; there are %s", ErrNoDevice, selector, listDevices(devices))
	}
	return Info{}, fmt.Errorf("%w: %q fits several, give an index or a UUID: %s", ErrNoDevice, selector, listDevices(found))
}

func bestDevice(devices []Info) (Info, error) {
	best := devices[0]
	for _, d := range devices[1:] {
		if typeRank[d.Type] > typeRank[best.Type] {
			best = d
		}
	}
	if typeRank[best.Type] == 0 {
		return Info{}, fmt.Errorf("%w: no GPU, only %s; name one to use it all the same", ErrNoDevice, listDevices(devices))
	}
	return best, nil
}

func listDevices(devices []Info) string {
	var names []string
	for _, d := range devices {
		names = append(names, d.String())
	}
	return strings.Join(names, ", ")
}
