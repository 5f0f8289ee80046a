//go:build cgo

package gpu

// This file is the only place where structures go through vulkan-go, or bypass
// it like those of present_call.go, and those that features.go and
// validation.go build in C memory.
// vulkan-go (pinned in go.mod) has traps that decide which calls can use it:
//
//   - An argument that is a slice of structures is copied to C memory owned by
//     a finalizer of a variable that dies before the C call begins: a garbage
//     collection at the wrong moment frees what the driver reads. No KeepAlive
//     can reach that variable, and holding off every collection is a
//     process-wide setting that runtime.GC ignores. Such calls (vkQueueSubmit,
//     vkUpdateDescriptorSets, vkCmdPipelineBarrier, …) therefore bypass
//     vulkan-go: call.h builds the structure on the C stack.
//   - An argument that is a pointer to a structure is copied to C memory that
//     stays until Free is called on the structure, and later calls reuse the
//     first copy even if the structure has changed. The functions below build
//     a new structure for each call and free it. Slices of structures inside
//     it are safe: the outer structure takes over their C memory.
//   - Slices of plain values, strings and PCode are passed without a copy, so
//     C memory points into Go memory, which is pinned if it is on the heap.
//     Strings end in \x00.
//   - Results go to local variables, so that cgo's pointer check never meets
//     an object that holds other Go pointers.
//
// Calls that take only handles and numbers, or slices of handles, are safe in
// vulkan-go and are made where they are needed.

/*
#cgo CFLAGS: -std=c11 -Wall
#include "call.h"
*/
import "C"

import (
	"fmt"
	"runtime"
	"unsafe"

	vk "github.com/vulkan-go/vulkan"
)

// handle returns the bits of a non-dispatchable handle, 64 on every platform.
// A handle need not be an address, so no Go pointer may hold it while a stack
// moves.
func handle[H any](h H) C.uint64_t {
	return C.uint64_t(*(*uint64)(unsafe.Pointer(&h)))
}

// object returns a dispatchable handle, which is the address of one of the
// loader's C structures.
func object[H vk.Instance | vk.PhysicalDevice | vk.Device | vk.Queue | vk.CommandBuffer](h H) unsafe.Pointer {
	return *(*unsafe.Pointer)(unsafe.Pointer(&h))
}

// check turns a result into an error that names the call.
func check(call string, result vk.Result) error {
	name := resultName(int32(result))
	switch result {
	case vk.Success:
		return nil
	case vk.ErrorOutOfDeviceMemory, vk.ErrorOutOfHostMemory, vk.ErrorOutOfPoolMemory:
		return fmt.Errorf("%w: %s: %s", ErrOutOfMemory, call, name)
	case vk.ErrorDeviceLost:
		return fmt.Errorf("%w: %s: %s; the driver reset the GPU or it was unplugged: check the system log and start again", ErrDeviceLost, call, name)
	case vk.ErrorSurfaceLost:
		return fmt.Errorf("%w: %s: %s", errSurfaceLost, call, name)
	}
	return fmt.Errorf("%s: %s", call, name)
}

// checkLoader is check for the loader's calls before there is a device.
func checkLoader(call string, result vk.Result) error {
	if result == vk.Success || result == vk.Incomplete { // the list has grown since it was counted
		return nil
	}
	return &loaderError{call, resultName(int32(result)), damagedManifest(append(driverManifests(), layerManifests()...))}
}

// loaderError is a failure of the loader, after which Vulkan cannot be used.
type loaderError struct{ call, result, damaged string }

// Error names the remedy. Loaders that cannot read a file report that they are
// out of memory, so Error leaves out the result in that case.
func (e *loaderError) Error() string {
	if e.damaged != "" {
		return fmt.Sprintf("%v: the Vulkan loader cannot read %s, which is not valid JSON: repair or remove it", ErrNoVulkan, e.damaged)
	}
	return fmt.Sprintf("%v: %s: %s; check that a Vulkan driver for your GPU is installed (vulkaninfo --summary lists them)", ErrNoVulkan, e.call, e.result)
}

func (e *loaderError) Is(target error) bool { return target == ErrNoVulkan }

// entryPoints are the functions that are called without vulkan-go.
type entryPoints struct {
	submit, write, barrier, copy, invalidate, pipeline unsafe.Pointer
	families, deviceExtensions, properties, features   unsafe.Pointer
	memory                                             unsafe.Pointer
	matrixShapes                                       unsafe.Pointer // nil if no device has VK_KHR_cooperative_matrix
	createMessenger, destroyMessenger, name            unsafe.Pointer
	drawing                                            drawingPoints
	presentation                                       presentationPoints
	executables                                        executableCalls
}

// procAddr looks a function up; instance is nil for global ones.
func procAddr(getProc unsafe.Pointer, instance vk.Instance, name string) unsafe.Pointer {
	cname := []byte(name + "\x00")
	return C.call_get_proc(getProc, object(instance), (*C.char)(unsafe.Pointer(&cname[0])))
}

// globalProc looks up a function that needs no instance.
func globalProc(getProc unsafe.Pointer, name string) (unsafe.Pointer, error) {
	f := procAddr(getProc, nil, name)
	if f == nil {
		return nil, errNoFunction(name)
	}
	return f, nil
}

func errNoFunction(name string) error {
	return fmt.Errorf("%w: the Vulkan loader has no %s; update it to Vulkan %d.%d or newer", ErrNoVulkan, name, minimumMajor, minimumMinor)
}

func loadEntryPoints(getProc unsafe.Pointer, instance vk.Instance) (*entryPoints, error) {
	e := &entryPoints{}
	for _, f := range []struct {
		name string
		to   *unsafe.Pointer
	}{
		{"vkQueueSubmit", &e.submit},
		{"vkUpdateDescriptorSets", &e.write},
		{"vkCmdPipelineBarrier", &e.barrier},
		{"vkCmdCopyBuffer", &e.copy},
		{"vkInvalidateMappedMemoryRanges", &e.invalidate},
		{"vkCreateComputePipelines", &e.pipeline},
		{"vkGetPhysicalDeviceQueueFamilyProperties", &e.families},
		{"vkEnumerateDeviceExtensionProperties", &e.deviceExtensions},
		{"vkGetPhysicalDeviceProperties2", &e.properties},
		{"vkGetPhysicalDeviceFeatures2", &e.features},
		{"vkGetPhysicalDeviceMemoryProperties2", &e.memory},
		{"vkCreateGraphicsPipelines", &e.drawing.pipeline},
		{"vkCmdBeginRenderPass", &e.drawing.begin},
		{"vkCmdSetViewport", &e.drawing.viewport},
		{"vkCmdSetScissor", &e.drawing.scissor},
		{"vkCmdCopyBufferToImage", &e.drawing.copyTo},
		{"vkCmdCopyImageToBuffer", &e.drawing.copyFrom},
		{"vkCmdBlitImage", &e.drawing.blit},
	} {
		if *f.to = procAddr(getProc, instance, f.name); *f.to == nil {
			return nil, errNoFunction(f.name)
		}
	}
	// Only set if the extension VK_EXT_debug_utils is on.
	e.createMessenger = procAddr(getProc, instance, "vkCreateDebugUtilsMessengerEXT")
	e.destroyMessenger = procAddr(getProc, instance, "vkDestroyDebugUtilsMessengerEXT")
	e.name = procAddr(getProc, instance, "vkSetDebugUtilsObjectNameEXT")
	e.presentation.load(getProc, instance)
	e.executables = loadExecutableCalls(getProc, instance)
	e.matrixShapes = procAddr(getProc, instance, "vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR")
	return e, nil
}

// submitTimes submits a command buffer 1 to maxSubmissions times in one call.
func (e *entryPoints) submitTimes(q vk.Queue, c vk.CommandBuffer, times int, f vk.Fence) error {
	return check("vkQueueSubmit", vk.Result(C.call_submit(e.submit, object(q), object(c), C.uint32_t(times), handle(f))))
}

const maxSubmissions = C.MAX_SUBMISSIONS

// writeBuffers binds regions, at least one, to bindings 0, 1, … of a descriptor set.
func (e *entryPoints) writeBuffers(d vk.Device, set vk.DescriptorSet, regions []Region) {
	infos := make([]C.descriptor_buffer, len(regions))
	for i, r := range regions {
		infos[i] = C.descriptor_buffer{buffer: handle(r.Buffer.handle), offset: C.uint64_t(r.Offset), _range: C.uint64_t(r.Size)}
	}
	C.call_write_buffers(e.write, object(d), handle(set), C.uint32_t(len(infos)), &infos[0])
}

// memoryBarrier records a barrier over all memory.
func (e *entryPoints) memoryBarrier(c vk.CommandBuffer, from, to vk.PipelineStageFlagBits, wrote, touches vk.AccessFlagBits) {
	C.call_barrier(e.barrier, object(c), C.uint32_t(from), C.uint32_t(to), C.uint32_t(wrote), C.uint32_t(touches))
}

func (e *entryPoints) copyBuffer(c vk.CommandBuffer, dst vk.Buffer, dstOffset int64, src vk.Buffer, srcOffset, size int64) {
	C.call_copy(e.copy, object(c), handle(src), handle(dst), C.uint64_t(srcOffset), C.uint64_t(dstOffset), C.uint64_t(size))
}

// invalidateMapped makes the device's writes to mapped memory visible here.
func (e *entryPoints) invalidateMapped(d vk.Device, m vk.DeviceMemory) error {
	return check("vkInvalidateMappedMemoryRanges", vk.Result(C.call_invalidate(e.invalidate, object(d), handle(m))))
}

const maxSpecialization = C.MAX_SPECIALIZATION

// createPipeline takes up to maxSpecialization specialisation constants; inspect
// makes the driver keep what [Pipeline.Executable] returns.
func (e *entryPoints) createPipeline(d vk.Device, cache vk.PipelineCache, module vk.ShaderModule, layout vk.PipelineLayout, spec []uint32, inspect bool) (vk.Pipeline, error) {
	var bits C.uint64_t
	var flags C.uint32_t
	if inspect {
		flags = C.CAPTURE_EXECUTABLE
	}
	r := vk.Result(C.call_create_pipeline(e.pipeline, object(d), handle(cache), handle(module), handle(layout), flags,
		C.uint32_t(len(spec)), (*C.uint32_t)(unsafe.Pointer(unsafe.SliceData(spec))), &bits))
	p := *(*vk.Pipeline)(unsafe.Pointer(&bits))
	return p, check("vkCreateComputePipelines", r)
}

// namePipeline names a pipeline in the validation layer's messages.
func (e *entryPoints) namePipeline(d vk.Device, p vk.Pipeline, name string) error {
	cname := []byte(name + "\x00")
	r := C.call_name_pipeline(e.name, object(d), handle(p), (*C.char)(unsafe.Pointer(&cname[0])))
	return check("vkSetDebugUtilsObjectNameEXT", vk.Result(r))
}

// queueFamily holds the parts of VkQueueFamilyProperties that matter here.
type queueFamily struct {
	compute       bool
	graphics      bool
	timestampBits int
}

func (e *entryPoints) queueFamilies(d vk.PhysicalDevice) []queueFamily {
	var n C.uint32_t
	C.call_queue_families(e.families, object(d), &n, nil)
	raw := make([]C.queue_family, n+1) // one more, so that raw[0] exists
	C.call_queue_families(e.families, object(d), &n, &raw[0])
	families := make([]queueFamily, n)
	for i := range families {
		families[i] = queueFamily{
			compute:       vk.QueueFlagBits(raw[i].flags)&vk.QueueComputeBit != 0,
			graphics:      vk.QueueFlagBits(raw[i].flags)&vk.QueueGraphicsBit != 0,
			timestampBits: int(raw[i].timestamp_bits),
		}
	}
	return families
}

// enumerateExtensions runs the two calls of an enumeration of extensions.
func enumerateExtensions(call func(*C.uint32_t, *C.extension_properties) vk.Result) (map[string]bool, vk.Result) {
	var n C.uint32_t
	if r := call(&n, nil); r != vk.Success {
		return nil, r
	}
	raw := make([]C.extension_properties, n+1)
	if r := call(&n, &raw[0]); r != vk.Success && r != vk.Incomplete {
		return nil, r
	}
	names := map[string]bool{}
	for i := range raw[:n] {
		names[C.GoString(&raw[i].name[0])] = true
	}
	return names, vk.Success
}

func (e *entryPoints) extensionsOf(d vk.PhysicalDevice) (map[string]bool, error) {
	names, r := enumerateExtensions(func(n *C.uint32_t, p *C.extension_properties) vk.Result {
		return vk.Result(C.call_device_extensions(e.deviceExtensions, object(d), n, p))
	})
	return names, check("vkEnumerateDeviceExtensionProperties", r)
}

// instanceExtensions lists the extensions of the loader and drivers, or those
// of the named layer.
func instanceExtensions(getProc unsafe.Pointer, layer string) (map[string]bool, error) {
	const call = "vkEnumerateInstanceExtensionProperties"
	f, err := globalProc(getProc, call)
	if err != nil {
		return nil, err
	}
	var cname *C.char
	if layer != "" {
		name := []byte(layer + "\x00")
		cname = (*C.char)(unsafe.Pointer(&name[0]))
	}
	names, r := enumerateExtensions(func(n *C.uint32_t, p *C.extension_properties) vk.Result {
		return vk.Result(C.call_instance_extensions(f, cname, n, p))
	})
	return names, checkLoader(call, r)
}

func instanceLayers(getProc unsafe.Pointer) (map[string]bool, error) {
	const call = "vkEnumerateInstanceLayerProperties"
	f, err := globalProc(getProc, call)
	if err != nil {
		return nil, err
	}
	var n C.uint32_t
	if err := checkLoader(call, vk.Result(C.call_layers(f, &n, nil))); err != nil {
		return nil, err
	}
	raw := make([]C.layer_properties, n+1)
	if err := checkLoader(call, vk.Result(C.call_layers(f, &n, &raw[0]))); err != nil {
		return nil, err
	}
	names := map[string]bool{}
	for i := range raw[:n] {
		names[C.GoString(&raw[i].name[0])] = true
	}
	return names, nil
}

// loaderVersion returns the highest Vulkan version of the loader.
func loaderVersion(getProc unsafe.Pointer) (vk.Version, error) {
	const call = "vkEnumerateInstanceVersion"
	v := C.uint32_t(vk.MakeVersion(1, 0, 0)) // loaders of Vulkan 1.0 lack the function
	f := procAddr(getProc, nil, call)
	if f == nil {
		return vk.Version(v), nil
	}
	r := vk.Result(C.call_instance_version(f, &v))
	return vk.Version(v), checkLoader(call, r)
}

// pinned returns names as C strings that do not move.
func pinned(pin *runtime.Pinner, names []string) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = n + "\x00"
		pin.Pin(unsafe.StringData(out[i]))
	}
	return out
}

// createInstance asks for Vulkan 1.1. next is a chain in C memory or nil.
func createInstance(next unsafe.Pointer, flags uint32, layers, extensions []string) (vk.Instance, error) {
	var pin runtime.Pinner
	defer pin.Unpin()
	info := vk.InstanceCreateInfo{
		SType: vk.StructureTypeInstanceCreateInfo,
		PNext: next,
		Flags: vk.InstanceCreateFlags(flags),
		PApplicationInfo: &vk.ApplicationInfo{
			SType:            vk.StructureTypeApplicationInfo,
			PApplicationName: "fmnist-gpu\x00",
			PEngineName:      "fmnist-gpu\x00",
			ApiVersion:       vk.MakeVersion(1, 1, 0),
		},
		EnabledLayerCount:       uint32(len(layers)),
		PpEnabledLayerNames:     pinned(&pin, layers),
		EnabledExtensionCount:   uint32(len(extensions)),
		PpEnabledExtensionNames: pinned(&pin, extensions),
	}
	defer info.Free()
	var instance vk.Instance
	r := vk.CreateInstance(&info, nil, &instance)
	return instance, checkLoader("vkCreateInstance", r)
}

// createDevice asks for one queue. next is the chain of features, in C memory.
func createDevice(physical vk.PhysicalDevice, next unsafe.Pointer, family int, extensions []string) (vk.Device, error) {
	var pin runtime.Pinner
	defer pin.Unpin()
	priorities := []float32{1}
	pin.Pin(&priorities[0])
	info := vk.DeviceCreateInfo{
		SType:                vk.StructureTypeDeviceCreateInfo,
		PNext:                next,
		QueueCreateInfoCount: 1,
		PQueueCreateInfos: []vk.DeviceQueueCreateInfo{{
			SType:            vk.StructureTypeDeviceQueueCreateInfo,
			QueueFamilyIndex: uint32(family),
			QueueCount:       1,
			PQueuePriorities: priorities,
		}},
		EnabledExtensionCount:   uint32(len(extensions)),
		PpEnabledExtensionNames: pinned(&pin, extensions),
	}
	defer info.Free()
	var device vk.Device
	r := vk.CreateDevice(physical, &info, nil, &device)
	return device, check("vkCreateDevice", r)
}

func getProperties(d vk.PhysicalDevice) vk.PhysicalDeviceProperties {
	var p vk.PhysicalDeviceProperties
	vk.GetPhysicalDeviceProperties(d, &p)
	p.Deref()
	p.Limits.Deref()
	p.Free()
	return p
}

func getMemoryProperties(d vk.PhysicalDevice) vk.PhysicalDeviceMemoryProperties {
	var p vk.PhysicalDeviceMemoryProperties
	vk.GetPhysicalDeviceMemoryProperties(d, &p)
	p.Deref()
	for i := range p.MemoryTypes {
		p.MemoryTypes[i].Deref()
	}
	for i := range p.MemoryHeaps {
		p.MemoryHeaps[i].Deref()
	}
	p.Free()
	return p
}

func createBuffer(d vk.Device, bytes int64, usage vk.BufferUsageFlagBits) (vk.Buffer, vk.MemoryRequirements, error) {
	info := vk.BufferCreateInfo{
		SType: vk.StructureTypeBufferCreateInfo,
		Size:  vk.DeviceSize(bytes),
		Usage: vk.BufferUsageFlags(usage),
	}
	defer info.Free()
	var b vk.Buffer
	if err := check("vkCreateBuffer", vk.CreateBuffer(d, &info, nil, &b)); err != nil {
		return b, vk.MemoryRequirements{}, err
	}
	var need vk.MemoryRequirements
	vk.GetBufferMemoryRequirements(d, b, &need)
	need.Deref()
	need.Free()
	return b, need, nil
}

func allocateMemory(d vk.Device, size vk.DeviceSize, memoryType int) (vk.DeviceMemory, error) {
	info := vk.MemoryAllocateInfo{
		SType:           vk.StructureTypeMemoryAllocateInfo,
		AllocationSize:  size,
		MemoryTypeIndex: uint32(memoryType),
	}
	defer info.Free()
	var m vk.DeviceMemory
	r := vk.AllocateMemory(d, &info, nil, &m)
	return m, check("vkAllocateMemory", r)
}

func createFence(d vk.Device) (vk.Fence, error) {
	info := vk.FenceCreateInfo{SType: vk.StructureTypeFenceCreateInfo}
	defer info.Free()
	var f vk.Fence
	r := vk.CreateFence(d, &info, nil, &f)
	return f, check("vkCreateFence", r)
}

// createCommandBuffer makes a pool with one command buffer.
func createCommandBuffer(d vk.Device, family int, flags vk.CommandPoolCreateFlagBits) (vk.CommandPool, vk.CommandBuffer, error) {
	poolInfo := vk.CommandPoolCreateInfo{
		SType:            vk.StructureTypeCommandPoolCreateInfo,
		Flags:            vk.CommandPoolCreateFlags(flags),
		QueueFamilyIndex: uint32(family),
	}
	defer poolInfo.Free()
	var pool vk.CommandPool
	if err := check("vkCreateCommandPool", vk.CreateCommandPool(d, &poolInfo, nil, &pool)); err != nil {
		return pool, nil, err
	}
	info := vk.CommandBufferAllocateInfo{
		SType:              vk.StructureTypeCommandBufferAllocateInfo,
		CommandPool:        pool,
		Level:              vk.CommandBufferLevelPrimary,
		CommandBufferCount: 1,
	}
	defer info.Free()
	buffers := make([]vk.CommandBuffer, 1)
	if err := check("vkAllocateCommandBuffers", vk.AllocateCommandBuffers(d, &info, buffers)); err != nil {
		vk.DestroyCommandPool(d, pool, nil)
		return nil, nil, err
	}
	return pool, buffers[0], nil
}

func beginCommandBuffer(c vk.CommandBuffer, usage vk.CommandBufferUsageFlagBits) error {
	info := vk.CommandBufferBeginInfo{
		SType: vk.StructureTypeCommandBufferBeginInfo,
		Flags: vk.CommandBufferUsageFlags(usage),
	}
	defer info.Free()
	return check("vkBeginCommandBuffer", vk.BeginCommandBuffer(c, &info))
}

func createTimestampPool(d vk.Device, count int) (vk.QueryPool, error) {
	info := vk.QueryPoolCreateInfo{
		SType:      vk.StructureTypeQueryPoolCreateInfo,
		QueryType:  vk.QueryTypeTimestamp,
		QueryCount: uint32(count),
	}
	defer info.Free()
	var q vk.QueryPool
	r := vk.CreateQueryPool(d, &info, nil, &q)
	return q, check("vkCreateQueryPool", r)
}

// createSetLayout describes descriptors of one type at bindings 0 … bindings-1.
func createSetLayout(d vk.Device, bindings int, kind vk.DescriptorType, stages vk.ShaderStageFlagBits) (vk.DescriptorSetLayout, error) {
	list := make([]vk.DescriptorSetLayoutBinding, bindings)
	for i := range list {
		list[i] = vk.DescriptorSetLayoutBinding{
			Binding:         uint32(i),
			DescriptorType:  kind,
			DescriptorCount: 1,
			StageFlags:      vk.ShaderStageFlags(stages),
		}
	}
	info := vk.DescriptorSetLayoutCreateInfo{
		SType:        vk.StructureTypeDescriptorSetLayoutCreateInfo,
		BindingCount: uint32(bindings),
		PBindings:    list,
	}
	defer info.Free()
	var l vk.DescriptorSetLayout
	r := vk.CreateDescriptorSetLayout(d, &info, nil, &l)
	return l, check("vkCreateDescriptorSetLayout", r)
}

func createPipelineLayout(d vk.Device, set vk.DescriptorSetLayout, pushBytes int, stages vk.ShaderStageFlagBits) (vk.PipelineLayout, error) {
	var pin runtime.Pinner
	defer pin.Unpin()
	sets := []vk.DescriptorSetLayout{set}
	pin.Pin(&sets[0])
	info := vk.PipelineLayoutCreateInfo{
		SType:          vk.StructureTypePipelineLayoutCreateInfo,
		SetLayoutCount: 1,
		PSetLayouts:    sets,
	}
	if pushBytes > 0 {
		info.PushConstantRangeCount = 1
		info.PPushConstantRanges = []vk.PushConstantRange{{
			StageFlags: vk.ShaderStageFlags(stages),
			Size:       uint32(pushBytes),
		}}
	}
	defer info.Free()
	var l vk.PipelineLayout
	r := vk.CreatePipelineLayout(d, &info, nil, &l)
	return l, check("vkCreatePipelineLayout", r)
}

// createShaderModule takes SPIR-V as words in the machine's byte order.
func createShaderModule(d vk.Device, code []uint32) (vk.ShaderModule, error) {
	var pin runtime.Pinner
	defer pin.Unpin()
	pin.Pin(&code[0])
	info := vk.ShaderModuleCreateInfo{
		SType:    vk.StructureTypeShaderModuleCreateInfo,
		CodeSize: uint(4 * len(code)),
		PCode:    code,
	}
	defer info.Free()
	var m vk.ShaderModule
	r := vk.CreateShaderModule(d, &info, nil, &m)
	return m, check("vkCreateShaderModule", r)
}

// createDescriptorPool makes room for sets that hold so many descriptors in total.
func createDescriptorPool(d vk.Device, sets, descriptors int, kind vk.DescriptorType) (vk.DescriptorPool, error) {
	info := vk.DescriptorPoolCreateInfo{
		SType:         vk.StructureTypeDescriptorPoolCreateInfo,
		MaxSets:       uint32(sets),
		PoolSizeCount: 1,
		PPoolSizes: []vk.DescriptorPoolSize{{
			Type:            kind,
			DescriptorCount: uint32(descriptors),
		}},
	}
	defer info.Free()
	var p vk.DescriptorPool
	r := vk.CreateDescriptorPool(d, &info, nil, &p)
	return p, check("vkCreateDescriptorPool", r)
}

func allocateDescriptorSet(d vk.Device, pool vk.DescriptorPool, layout vk.DescriptorSetLayout) (vk.DescriptorSet, error) {
	var pin runtime.Pinner
	defer pin.Unpin()
	layouts := []vk.DescriptorSetLayout{layout}
	pin.Pin(&layouts[0])
	info := vk.DescriptorSetAllocateInfo{
		SType:              vk.StructureTypeDescriptorSetAllocateInfo,
		DescriptorPool:     pool,
		DescriptorSetCount: 1,
		PSetLayouts:        layouts,
	}
	defer info.Free()
	var s vk.DescriptorSet
	r := vk.AllocateDescriptorSets(d, &info, &s)
	return s, check("vkAllocateDescriptorSets", r)
}

// createPipelineCache starts from the data of an earlier cache, or empty.
func createPipelineCache(d vk.Device, data []byte) (vk.PipelineCache, error) {
	var pin runtime.Pinner
	defer pin.Unpin()
	info := vk.PipelineCacheCreateInfo{SType: vk.StructureTypePipelineCacheCreateInfo}
	if len(data) > 0 {
		pin.Pin(&data[0])
		info.InitialDataSize = uint(len(data))
		info.PInitialData = unsafe.Pointer(&data[0])
	}
	defer info.Free()
	var c vk.PipelineCache
	r := vk.CreatePipelineCache(d, &info, nil, &c)
	return c, check("vkCreatePipelineCache", r)
}

func pipelineCacheData(d vk.Device, cache vk.PipelineCache) ([]byte, error) {
	var size uint
	if err := check("vkGetPipelineCacheData", vk.GetPipelineCacheData(d, cache, &size, nil)); err != nil {
		return nil, err
	}
	data := make([]byte, size)
	if size > 0 {
		if err := check("vkGetPipelineCacheData", vk.GetPipelineCacheData(d, cache, &size, unsafe.Pointer(&data[0]))); err != nil {
			return nil, err
		}
	}
	return data[:size], nil
}
