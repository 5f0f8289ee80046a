// A Vulkan driver that passes everything on to a real one, but describes its
// devices differently and fails where it is told to. The settings are macros:
//
//   REAL      path of the real driver
//   NAME      name of the device
//   TYPE      VkPhysicalDeviceType
//   API       VkPhysicalDeviceProperties.apiVersion, 0 for the real one
//   UUID_BYTE every byte of the device's UUID
//   PERIOD    timestampPeriod
//   FAULTS    FAULT(vkFunction, VkResult) ...: functions that do nothing but
//             return the result
#define VK_NO_PROTOTYPES
#include "vulkan/vulkan_core.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

#define FAULT(function, result) \
	static VKAPI_ATTR int32_t VKAPI_CALL fail_##function(void) { return result; }
FAULTS
#undef FAULT

static PFN_vkGetInstanceProcAddr real_instance_proc;
static PFN_vkGetDeviceProcAddr real_device_proc;
static PFN_vkGetPhysicalDeviceProperties real_properties;
static PFN_vkGetPhysicalDeviceProperties2 real_properties2;

static void *real(const char *name) {
	static void *library;
	if (!library) library = dlopen(REAL, RTLD_NOW | RTLD_LOCAL);
	if (!library) fprintf(stderr, "driver.c: %s\n", dlerror());
	return library ? dlsym(library, name) : NULL;
}

static void disguise(VkPhysicalDeviceProperties *p) {
	snprintf(p->deviceName, sizeof p->deviceName, "%s", NAME);
	p->deviceType = TYPE;
	if (API) p->apiVersion = API;
	p->limits.timestampPeriod = PERIOD;
}

static VKAPI_ATTR void VKAPI_CALL properties(VkPhysicalDevice d, VkPhysicalDeviceProperties *p) {
	real_properties(d, p);
	disguise(p);
}

static VKAPI_ATTR void VKAPI_CALL properties2(VkPhysicalDevice d, VkPhysicalDeviceProperties2 *p) {
	real_properties2(d, p);
	disguise(&p->properties);
	for (VkBaseOutStructure *s = p->pNext; s; s = s->pNext)
		if (s->sType == VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_ID_PROPERTIES)
			memset(((VkPhysicalDeviceIDProperties *)s)->deviceUUID, UUID_BYTE, VK_UUID_SIZE);
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL device_proc(VkDevice d, const char *name);

// replaced returns the replacement for the named function, or NULL.
static PFN_vkVoidFunction replaced(const char *name) {
#define FAULT(function, result) \
	if (!strcmp(name, #function)) return (PFN_vkVoidFunction)fail_##function;
	FAULTS
	return NULL;
}

EXPORT VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL vk_icdGetInstanceProcAddr(VkInstance i, const char *name) {
	if (!real_instance_proc) real_instance_proc = (PFN_vkGetInstanceProcAddr)real("vk_icdGetInstanceProcAddr");
	PFN_vkVoidFunction f = real_instance_proc(i, name), other = replaced(name);
	if (other || !f) return other;
	if (!strcmp(name, "vkGetPhysicalDeviceProperties")) {
		real_properties = (PFN_vkGetPhysicalDeviceProperties)f;
		return (PFN_vkVoidFunction)properties;
	}
	if (!strcmp(name, "vkGetPhysicalDeviceProperties2") || !strcmp(name, "vkGetPhysicalDeviceProperties2KHR")) {
		real_properties2 = (PFN_vkGetPhysicalDeviceProperties2)f;
		return (PFN_vkVoidFunction)properties2;
	}
	if (!strcmp(name, "vkGetDeviceProcAddr")) {
		real_device_proc = (PFN_vkGetDeviceProcAddr)f;
		return (PFN_vkVoidFunction)device_proc;
	}
	return f;
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL device_proc(VkDevice d, const char *name) {
	PFN_vkVoidFunction other = replaced(name);
	return other ? other : real_device_proc(d, name);
}

EXPORT VKAPI_ATTR VkResult VKAPI_CALL vk_icdNegotiateLoaderICDInterfaceVersion(uint32_t *version) {
	return ((VkResult(VKAPI_PTR *)(uint32_t *))real("vk_icdNegotiateLoaderICDInterfaceVersion"))(version);
}
