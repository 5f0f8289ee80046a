//go:build cgo

package gpu

import (
	"fmt"
	"sync"
	"unsafe"

	vk "github.com/vulkan-go/vulkan"
)

const (
	extPortabilityEnumeration  = "VK_KHR_portability_enumeration"
	flagEnumeratePortability   = 1    // VK_INSTANCE_CREATE_ENUMERATE_PORTABILITY_BIT_KHR
	minimumMajor, minimumMinor = 1, 1 // Vulkan version of loader and device
)

// instance is a connection to the Vulkan loader and, through it, all drivers.
type instance struct {
	handle     vk.Instance
	calls      *entryPoints
	validation *validation // nil without the layer
}

// initInstance tells vulkan-go about instances. The loader's functions serve
// every instance, so the first one is enough; doing it again would race with
// calls on other goroutines.
var initInstance sync.Once

func newInstance(validate bool) (*instance, error) {
	getProc, err := load()
	if err != nil {
		return nil, err
	}
	if v := loaderVersion(getProc); !atLeastMinimum(v) {
		return nil, fmt.Errorf("%w: the Vulkan loader is %v; update it to %d.%d or newer", ErrNoVulkan, v, minimumMajor, minimumMinor)
	}
	in := &instance{}
	if validate {
		if in.validation, err = newValidation(getProc); err != nil {
			return nil, err
		}
	}
	if err := in.create(getProc); err != nil {
		if in.validation != nil {
			in.validation.free()
		}
		return nil, err
	}
	return in, nil
}

// create makes the instance with the layers and extensions that it needs.
func (in *instance) create(getProc unsafe.Pointer) error {
	available, err := instanceExtensions(getProc, "")
	if err != nil {
		return err
	}
	var layers, extensions []string
	var flags uint32
	if in.validation != nil {
		layers = append(layers, validationLayer)
		extensions = append(extensions, debugUtils, validationFeatures)
	}
	if available[extPortabilityEnumeration] { // shows MoltenVK's devices
		extensions = append(extensions, extPortabilityEnumeration)
		flags = flagEnumeratePortability
	}
	in.handle, err = createInstance(in.validation.chain(), flags, layers, extensions)
	if err != nil {
		return fmt.Errorf("%w: %v; check that a Vulkan driver for your GPU is installed (vulkaninfo --summary lists them)", ErrNoVulkan, err)
	}
	initInstance.Do(func() { err = vk.InitInstance(in.handle) })
	if err == nil {
		in.calls, err = loadEntryPoints(getProc, in.handle)
	}
	if err == nil && in.validation != nil {
		err = in.validation.attach(in.calls, in.handle)
	}
	if err != nil {
		vk.DestroyInstance(in.handle, nil)
	}
	return err
}

// close destroys the instance and returns what the validation layer had to
// say that no error has told yet.
func (in *instance) close() error {
	if in.validation != nil {
		in.validation.detach(in.calls, in.handle)
	}
	vk.DestroyInstance(in.handle, nil)
	if in.validation != nil {
		in.validation.free()
	}
	return in.validation.err()
}

func atLeastMinimum(v vk.Version) bool {
	return v.Major() > minimumMajor || v.Major() == minimumMajor && v.Minor() >= minimumMinor
}

// physicalDevice is a device that has not been opened.
type physicalDevice struct {
	handle     vk.PhysicalDevice
	info       Info
	extensions map[string]bool
	family     int // of the compute queue

	timestampMask uint64   // bits of a timestamp that count
	cacheUUID     [16]byte // changes when compiled pipelines become unusable
}

// devices describes the devices that are recent enough and can compute.
func (in *instance) devices() ([]physicalDevice, error) {
	var n uint32
	if err := check("vkEnumeratePhysicalDevices", vk.EnumeratePhysicalDevices(in.handle, &n, nil)); err != nil {
		return nil, err
	}
	handles := make([]vk.PhysicalDevice, n)
	if err := check("vkEnumeratePhysicalDevices", vk.EnumeratePhysicalDevices(in.handle, &n, handles)); err != nil {
		return nil, err
	}
	var found []physicalDevice
	for i, h := range handles[:n] {
		d, err := in.physicalDevice(i, h)
		if err != nil {
			return nil, err
		}
		if d.family >= 0 && atLeastMinimum(vk.Version(getProperties(h).ApiVersion)) {
			found = append(found, d)
		}
	}
	return found, nil
}

var typeNames = map[vk.PhysicalDeviceType]string{
	vk.PhysicalDeviceTypeDiscreteGpu:   "discrete",
	vk.PhysicalDeviceTypeIntegratedGpu: "integrated",
	vk.PhysicalDeviceTypeVirtualGpu:    "virtual",
	vk.PhysicalDeviceTypeCpu:           "cpu",
	vk.PhysicalDeviceTypeOther:         "other",
}

func (in *instance) physicalDevice(index int, h vk.PhysicalDevice) (physicalDevice, error) {
	p := getProperties(h)
	extensions, err := in.calls.extensionsOf(h)
	if err != nil {
		return physicalDevice{}, err
	}
	family, timestampBits := computeFamily(in.calls.queueFamilies(h))
	info := Info{
		Index:         index,
		Name:          vk.ToString(p.DeviceName[:]),
		Type:          typeNames[p.DeviceType],
		Driver:        fmt.Sprintf("%#x", p.DriverVersion),
		APIVersion:    vk.Version(p.ApiVersion).String(),
		VendorID:      p.VendorID,
		DeviceID:      p.DeviceID,
		DriverVersion: p.DriverVersion,
		MemoryBytes:   largestLocalHeap(getMemoryProperties(h)),
		Limits:        limitsOf(p.Limits, timestampBits),
	}
	if atLeastMinimum(vk.Version(p.ApiVersion)) {
		in.calls.describe(h, extensions, &info)
	}
	return physicalDevice{
		handle: h, info: info, extensions: extensions, family: family,
		timestampMask: 1<<timestampBits - 1, cacheUUID: p.PipelineCacheUUID,
	}, nil
}

// computeFamily picks the first queue family that can compute, one with
// timestamps if any has them; -1 if none can compute.
func computeFamily(families []queueFamily) (family, timestampBits int) {
	family = -1
	for i, f := range families {
		if f.compute && (family < 0 || timestampBits == 0 && f.timestampBits > 0) {
			family, timestampBits = i, f.timestampBits
		}
	}
	return family, timestampBits
}

func largestLocalHeap(p vk.PhysicalDeviceMemoryProperties) int64 {
	var largest int64
	for _, h := range p.MemoryHeaps[:p.MemoryHeapCount] {
		if vk.MemoryHeapFlagBits(h.Flags)&vk.MemoryHeapDeviceLocalBit != 0 {
			largest = max(largest, int64(h.Size))
		}
	}
	return largest
}

func limitsOf(l vk.PhysicalDeviceLimits, timestampBits int) Limits {
	out := Limits{
		MaxWorkgroupInvocations: int(l.MaxComputeWorkGroupInvocations),
		SharedMemoryBytes:       int(l.MaxComputeSharedMemorySize),
		StorageBufferRange:      int64(l.MaxStorageBufferRange),
		StorageBufferAlignment:  int(l.MinStorageBufferOffsetAlignment),
		StorageBuffers:          int(min(l.MaxPerStageDescriptorStorageBuffers, l.MaxDescriptorSetStorageBuffers)),
		PushConstantBytes:       int(l.MaxPushConstantsSize),
		MaxAllocations:          int(l.MaxMemoryAllocationCount),
	}
	for i := range 3 {
		out.MaxWorkgroupSize[i] = int(l.MaxComputeWorkGroupSize[i])
		out.MaxWorkgroupCount[i] = int(l.MaxComputeWorkGroupCount[i])
	}
	if timestampBits > 0 {
		out.TimestampPeriod = float64(l.TimestampPeriod)
	}
	return out
}

// List describes every Vulkan 1.1 device of the machine that can compute,
// software drivers included, in the loader's order. It fails with
// [ErrNoVulkan] where there is no loader or no driver.
func List() ([]Info, error) {
	in, err := newInstance(false)
	if err != nil {
		return nil, err
	}
	defer in.close()
	devices, err := in.devices()
	return infos(devices), err
}

func infos(devices []physicalDevice) []Info {
	list := make([]Info, len(devices))
	for i, d := range devices {
		list[i] = d.info
	}
	return list
}
