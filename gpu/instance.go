//go:build cgo

package gpu

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
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
	validation *validation // nil if the layer is off
	devices    []physicalDevice
	problems   []error // what is wrong with drivers that are left out
	window     *Window // to present to, or nil
	surface    uint64  // the window's VkSurfaceKHR, 0 for none
	stuck      bool    // a device does not respond, so the instance cannot be destroyed
}

// initInstance initialises vulkan-go with the first instance. The loader's
// functions serve every instance, and initialising again would race with calls
// on other goroutines.
var initInstance sync.Once

// connecting is held while an instance is created, since [withoutFailingDrivers]
// changes the environment that the loader reads.
var connecting sync.Mutex

// connect returns an instance and its devices, at least one. If one of several
// drivers makes the loader fail, connect leaves it out.
func connect(o Options) (*instance, error) {
	connecting.Lock()
	defer connecting.Unlock()
	in, err := newInstance(o)
	if err == nil || errors.Is(err, ErrValidation) {
		return in, err
	}
	problems, found := withoutFailingDrivers()
	if !found {
		return nil, err
	}
	if in, err = newInstance(o); err != nil {
		return nil, err
	}
	in.problems = problems
	return in, nil
}

// withoutFailingDrivers tries each driver by itself and makes the loader use
// only those that have a device from then on. It reports what is wrong with the
// others, and whether any is left.
func withoutFailingDrivers() (problems []error, found bool) {
	files := driverManifests()
	if len(files) < 2 {
		return nil, false
	}
	restore := environment(driverFiles, oldDriverFiles)
	use := func(list string) {
		os.Setenv(driverFiles, list)
		os.Setenv(oldDriverFiles, list)
	}
	var good []string
	for _, f := range files {
		use(f)
		in, err := newInstance(Options{})
		failure := (*loaderError)(nil)
		switch {
		case err == nil:
			good = append(good, f)
			_ = in.close() // there is no validation layer whose reports to return
		case errors.As(err, &failure) && failure.damaged == f:
			problems = append(problems, fmt.Errorf("%s is not valid JSON, so its driver is left out: repair or remove it", f))
		case errors.As(err, &failure):
			problems = append(problems, fmt.Errorf("the driver of %s fails: %s: %s", f, failure.call, failure.result))
		case !errors.Is(err, errNoDeviceFound):
			problems = append(problems, err)
		}
	}
	if len(good) == 0 {
		restore()
		return nil, false
	}
	use(strings.Join(good, string(filepath.ListSeparator)))
	return problems, true
}

// environment returns a function that restores the variables as they are now.
func environment(variables ...string) (restore func()) {
	restore = func() {}
	for _, v := range variables {
		others := restore
		if value, set := os.LookupEnv(v); set {
			restore = func() { others(); os.Setenv(v, value) }
		} else {
			restore = func() { others(); os.Unsetenv(v) }
		}
	}
	return restore
}

// newInstance creates an instance and lists its devices, at least one.
func newInstance(o Options) (*instance, error) {
	getProc, err := load()
	if err != nil {
		return nil, err
	}
	v, err := loaderVersion(getProc)
	if err != nil {
		return nil, err
	}
	if !atLeastMinimum(v) {
		return nil, fmt.Errorf("%w: the Vulkan loader is %v; update it to %d.%d or newer", ErrNoVulkan, v, minimumMajor, minimumMinor)
	}
	in := &instance{window: o.Window}
	if o.Validate {
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
	if err := in.enumerate(); err != nil {
		return nil, both(err, in.close())
	}
	return in, nil
}

// create creates the instance with the layers and extensions that it needs.
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
	if in.window != nil {
		if extensions, err = in.window.require(available, extensions); err != nil {
			return err
		}
	}
	in.handle, err = createInstance(in.validation.chain(), flags, layers, extensions)
	if err != nil {
		return err
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

// close destroys the instance and returns the validation layer's reports that
// no earlier error has returned.
func (in *instance) close() error {
	if in.stuck {
		return in.validation.err()
	}
	in.closeSurface()
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
	info       Info // not Usable if there is no point in trying it
	extensions map[string]bool
	family     int  // of the queue
	graphics   bool // the queue also draws
	presents   bool // to the instance's window

	timestampMask uint64   // bits of a timestamp that count
	cacheUUID     [16]byte // changes when compiled pipelines become unusable
}

// errNoDeviceFound: the drivers work but find no device.
var errNoDeviceFound = fmt.Errorf("%w: the installed Vulkan drivers find no device; for a GPU, install its own driver", ErrNoDevice)

// enumerate describes the devices of all drivers.
func (in *instance) enumerate() error {
	const call = "vkEnumeratePhysicalDevices"
	var n uint32
	r := vk.EnumeratePhysicalDevices(in.handle, &n, nil)
	if r == vk.Success && n == 0 || r == vk.ErrorInitializationFailed { // what loaders return if no driver has a device
		return errNoDeviceFound
	}
	if err := checkLoader(call, r); err != nil {
		return err
	}
	handles := make([]vk.PhysicalDevice, n)
	if err := checkLoader(call, vk.EnumeratePhysicalDevices(in.handle, &n, handles)); err != nil {
		return err
	}
	for i, h := range handles[:n] {
		in.devices = append(in.devices, in.describe(i, h))
	}
	return nil
}

var typeNames = map[vk.PhysicalDeviceType]string{
	vk.PhysicalDeviceTypeDiscreteGpu:   "discrete",
	vk.PhysicalDeviceTypeIntegratedGpu: "integrated",
	vk.PhysicalDeviceTypeVirtualGpu:    "virtual",
	vk.PhysicalDeviceTypeCpu:           "cpu",
	vk.PhysicalDeviceTypeOther:         "other",
}

// describe returns what can be known about a device before it is opened.
func (in *instance) describe(index int, h vk.PhysicalDevice) physicalDevice {
	p := getProperties(h)
	families := in.calls.queueFamilies(h)
	family, timestampBits := computeFamily(families)
	_, memory := largestLocalHeap(getMemoryProperties(h))
	d := physicalDevice{handle: h, family: family, graphics: family >= 0 && families[family].graphics, timestampMask: 1<<timestampBits - 1, cacheUUID: p.PipelineCacheUUID, info: Info{
		Index:         index,
		Name:          oneLine(vk.ToString(p.DeviceName[:])),
		Type:          cmp.Or(typeNames[p.DeviceType], "other"),
		Driver:        fmt.Sprintf("%#x", p.DriverVersion),
		APIVersion:    vk.Version(p.ApiVersion).String(),
		VendorID:      p.VendorID,
		DeviceID:      p.DeviceID,
		DriverVersion: p.DriverVersion,
		MemoryBytes:   memory,
		Limits:        limitsOf(p.Limits, timestampBits),
		Usable:        true,
	}}
	var err error
	switch {
	case !atLeastMinimum(vk.Version(p.ApiVersion)):
		d.info.refuse(fmt.Sprintf("its driver supports Vulkan %s, but %d.%d is needed: update the driver", d.info.APIVersion, minimumMajor, minimumMinor))
		return d
	case family < 0:
		d.info.refuse("it has no queue for compute shaders")
	case d.info.Limits.StorageBuffers < MinStorageBuffers:
		d.info.refuse(fmt.Sprintf("its driver lets a shader have %d storage buffers, but %d are needed", d.info.Limits.StorageBuffers, MinStorageBuffers))
	}
	if d.extensions, err = in.calls.extensionsOf(h); err != nil {
		d.info.refuse(err.Error())
	}
	in.calls.describe(h, d.extensions, &d.info)
	return d
}

// computeFamily picks the first queue family for compute, preferring one with timestamps
// and, among those, one without graphics: the desktop waits for work on its own queue. Without
// a family for compute, family is -1.
func computeFamily(families []queueFamily) (family, timestampBits int) {
	rank := func(f queueFamily) (r int) {
		if f.timestampBits > 0 {
			r += 2
		}
		if !f.graphics {
			r++
		}
		return r
	}
	family = -1
	for i, f := range families {
		if f.compute && (family < 0 || rank(f) > rank(families[family])) {
			family, timestampBits = i, f.timestampBits
		}
	}
	return family, timestampBits
}

// largestLocalHeap returns the index of the largest device-local heap and its size in
// bytes.
func largestLocalHeap(p vk.PhysicalDeviceMemoryProperties) (heap int, bytes int64) {
	for i, h := range p.MemoryHeaps[:p.MemoryHeapCount] {
		if size := int64(min(h.Size, 1<<62)); vk.MemoryHeapFlagBits(h.Flags)&vk.MemoryHeapDeviceLocalBit != 0 && size > bytes {
			heap, bytes = i, size
		}
	}
	return heap, bytes
}

func limitsOf(l vk.PhysicalDeviceLimits, timestampBits int) Limits {
	out := Limits{
		MaxWorkgroupInvocations: int(l.MaxComputeWorkGroupInvocations),
		SharedMemoryBytes:       int(l.MaxComputeSharedMemorySize),
		StorageBufferRange:      int64(l.MaxStorageBufferRange),
		StorageBufferAlignment:  int(l.MinStorageBufferOffsetAlignment),
		StorageBuffers:          int(min(l.MaxPerStageDescriptorStorageBuffers, l.MaxDescriptorSetStorageBuffers, l.MaxPerStageResources)),
		PushConstantBytes:       int(l.MaxPushConstantsSize),
		MaxAllocations:          int(min(l.MaxMemoryAllocationCount, math.MaxInt32)), // of some drivers the largest uint32
	}
	for i := range 3 {
		out.MaxWorkgroupSize[i] = int(l.MaxComputeWorkGroupSize[i])
		out.MaxWorkgroupCount[i] = int(l.MaxComputeWorkGroupCount[i])
	}
	// A driver without hardware may report an infinite period.
	if period := float64(l.TimestampPeriod); timestampBits > 0 && period > 0 && !math.IsInf(period, 1) {
		out.TimestampPeriod = period
	}
	return out
}

// List describes the machine's Vulkan devices, software drivers included, in the loader's
// order. It briefly opens each to find out whether it can be used and, if trial is not nil,
// passes the trial. problems says why there is no device, or what is wrong
// with the drivers whose devices are left out.
func List(trial func(*Device) error) (devices []Info, problems []error) {
	in, err := connect(Options{})
	if err != nil {
		return nil, []error{err}
	}
	for _, p := range in.devices {
		if d, err := in.open(p, Options{Trial: trial}); err != nil {
			p.info.refuse(err.Error())
		} else {
			d.destroy()
		}
		devices = append(devices, p.info)
	}
	if err := in.close(); err != nil {
		in.problems = append(in.problems, err)
	}
	return devices, in.problems
}

func infos(devices []physicalDevice) []Info {
	list := make([]Info, len(devices))
	for i, d := range devices {
		list[i] = d.info
	}
	return list
}
