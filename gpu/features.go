//go:build cgo

package gpu

/*
#include <stdlib.h>
#include "feature_chain.h"
*/
import "C"

import (
	"fmt"
	"strings"
	"unsafe"

	vk "github.com/vulkan-go/vulkan"
)

// Device extensions that are switched on if the device has them, and some that only
// have properties.
const (
	extStorage8          = "VK_KHR_8bit_storage"
	extFloat16Int8       = "VK_KHR_shader_float16_int8"
	extMemoryModel       = "VK_KHR_vulkan_memory_model"
	extCooperativeMatrix = "VK_KHR_cooperative_matrix" // needs the memory model
	extBFloat16          = "VK_KHR_shader_bfloat16"
	extDriverProperties  = "VK_KHR_driver_properties"
	extCoresAMD          = "VK_AMD_shader_core_properties"
	extCoresNVIDIA       = "VK_NV_shader_sm_builtins"
	extCoresARM          = "VK_ARM_shader_core_builtins"
	extMemoryBudget      = "VK_EXT_memory_budget"
	extSwapchain         = "VK_KHR_swapchain"                      // for devices that present
	extPortability       = "VK_KHR_portability_subset"             // mandatory if it is listed
	extExecutables       = "VK_KHR_pipeline_executable_properties" // only for inspection: it keeps drivers from caching
)

// cAlloc returns zeroed C memory, for structures that hold C pointers to each
// other. Like Go's allocator, it ends the program if there is no memory left.
func cAlloc(bytes uintptr) unsafe.Pointer {
	p := C.calloc(1, C.size_t(bytes))
	if p == nil {
		panic("gpu: out of host memory")
	}
	return p
}

func cFree(p unsafe.Pointer) { C.free(p) }

func flag(b bool) C.int {
	if b {
		return 1
	}
	return 0
}

// featureChain asks a device which features it has. The result is the chain
// that switches them on when the device is created; free it with cFree.
func (e *entryPoints) featureChain(d vk.PhysicalDevice, extensions map[string]bool) *C.device_features {
	has := func(name string) C.int { return flag(extensions[name]) }
	f := (*C.device_features)(cAlloc(unsafe.Sizeof(C.device_features{})))
	C.features_query(e.features, object(d), has(extStorage8), has(extFloat16Int8), has(extMemoryModel),
		has(extCooperativeMatrix), has(extBFloat16), has(extExecutables), f)
	return f
}

// enabledExtensions lists the extensions to switch on among those a device has.
func enabledExtensions(p physicalDevice) []string {
	var on []string
	if p.presents {
		on = append(on, extSwapchain)
	}
	for _, name := range []string{extStorage8, extFloat16Int8, extMemoryModel, extCooperativeMatrix, extBFloat16, extPortability, extExecutables} {
		if p.extensions[name] {
			on = append(on, name)
		}
	}
	return on
}

// budget returns how many bytes of a heap this process can use in addition to those that
// it uses. The device must have VK_EXT_memory_budget.
func (e *entryPoints) budget(d vk.PhysicalDevice, heap int) int64 {
	m := (*C.device_memory)(cAlloc(unsafe.Sizeof(C.device_memory{})))
	defer cFree(unsafe.Pointer(m))
	C.memory_query(e.memory, object(d), m)
	budget, usage := m.budget.budget[heap], m.budget.usage[heap]
	return int64(min(budget-min(usage, budget), 1<<62))
}

// factorNames are the 16-bit floats among VkComponentTypeKHR.
var factorNames = map[C.int32_t]string{0: "fp16", 1000141000: "bf16"}

// shapesOf returns the shapes that multiply 16-bit floats and add up float32.
func (e *entryPoints) shapesOf(d vk.PhysicalDevice) []MatrixShape {
	const float32Sums, subgroupScope, most = 1, 3, 256
	n := C.uint32_t(most)
	shapes := make([]C.matrix_shape, most)
	if e.matrixShapes == nil || C.matrix_shapes(e.matrixShapes, object(d), &n, &shapes[0]) < 0 {
		return nil
	}
	var all []MatrixShape
	for _, s := range shapes[:n] {
		if name := factorNames[s.a]; name != "" && s.b == s.a && s.c == float32Sums && s.result == float32Sums && s.scope == subgroupScope {
			all = append(all, MatrixShape{M: int(s.m), N: int(s.n), K: int(s.k), Factors: name})
		}
	}
	return all
}

// describe fills in the parts of Info that need a chain of structures.
func (e *entryPoints) describe(d vk.PhysicalDevice, extensions map[string]bool, info *Info) {
	has := func(name string) C.int { return flag(extensions[name]) }
	p := (*C.device_properties)(cAlloc(unsafe.Sizeof(C.device_properties{})))
	defer cFree(unsafe.Pointer(p))
	C.properties_query(e.properties, object(d), has(extDriverProperties), has(extCoresAMD), has(extCoresNVIDIA), has(extCoresARM), p)
	u := C.GoBytes(unsafe.Pointer(&p.id.device_uuid), 16)
	info.UUID = fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
	info.SubgroupSize = int(p.subgroup.size)
	info.Limits.MaxAllocationBytes = int64(min(p.maintenance3.max_memory_allocation_size, 1<<62))
	info.Cores = int(p.amd.engines*p.amd.arrays_per_engine*p.amd.units_per_array + p.nvidia.multiprocessors + p.arm.cores)
	if extensions[extDriverProperties] {
		info.Driver = oneLine(strings.TrimSpace(C.GoString(&p.driver.name[0]) + " " + C.GoString(&p.driver.info[0])))
	}

	f := e.featureChain(d, extensions)
	defer cFree(unsafe.Pointer(f))
	info.Float16 = f.float16_int8.float16 != 0
	info.Int8 = f.float16_int8.int8 != 0
	info.BFloat16 = f.bfloat16._type != 0
	info.CooperativeMatrix = f.cooperative_matrix.matrix != 0
	if info.CooperativeMatrix {
		info.MatrixShapes = e.shapesOf(d)
	}
	info.Storage8 = f.storage8.storage_buffer != 0
	info.Storage16 = f.storage16.storage_buffer != 0
}
