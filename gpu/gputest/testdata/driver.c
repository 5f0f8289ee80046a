// A Vulkan driver that passes everything on to a real one, but describes its
// devices differently and fails where it is told to. The settings are macros:
//
//   REAL      path of the real driver
//   NAME      name of the device
//   TYPE      VkPhysicalDeviceType
//   API       VkPhysicalDeviceProperties.apiVersion, 0 for the real one
//   UUID_BYTE every byte of the device's UUID
//   PERIOD    timestampPeriod
//   BUDGET    bytes of each memory heap that are free for all processes, 0 for
//             what the real driver says
//   FAULTS    FAULT(vkFunction, VkResult) ...: functions that do nothing but
//             return the result
//   CONTROL   path of a file with a struct control, by which a test counts calls
//             and makes one of them fail, or "" for none
#define VK_NO_PROTOTYPES
#include "vulkan/vulkan_core.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

#define FAULT(function, result) \
	static VKAPI_ATTR int32_t VKAPI_CALL fail_##function(void) { return result; }
FAULTS
#undef FAULT

static PFN_vkGetInstanceProcAddr real_instance_proc;
static PFN_vkGetDeviceProcAddr real_device_proc;
static PFN_vkGetPhysicalDeviceProperties real_properties;
static PFN_vkGetPhysicalDeviceProperties2 real_properties2;
static PFN_vkGetPhysicalDeviceMemoryProperties2 real_memory2;

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

typedef struct { // VkPhysicalDeviceMemoryBudgetPropertiesEXT, which vulkan-go's headers lack
	VkStructureType sType;
	void *pNext;
	VkDeviceSize budget[VK_MAX_MEMORY_HEAPS], usage[VK_MAX_MEMORY_HEAPS];
} memory_budget;

static VKAPI_ATTR void VKAPI_CALL memory2(VkPhysicalDevice d, VkPhysicalDeviceMemoryProperties2 *p) {
	real_memory2(d, p);
	for (VkBaseOutStructure *s = p->pNext; s; s = s->pNext)
		if (s->sType == 1000237000)
			for (int i = 0; BUDGET && i < VK_MAX_MEMORY_HEAPS; i++) {
				((memory_budget *)s)->budget[i] = BUDGET + (64 << 20);
				((memory_budget *)s)->usage[i] = 64 << 20;
			}
}

static PFN_vkEnumerateDeviceExtensionProperties real_extensions;

// extensions adds VK_EXT_memory_budget.
static VKAPI_ATTR VkResult VKAPI_CALL extensions(VkPhysicalDevice d, const char *layer, uint32_t *n, VkExtensionProperties *p) {
	uint32_t room = p ? *n : 0;
	VkResult r = real_extensions(d, layer, n, p);
	if (p && *n == room) return VK_INCOMPLETE;
	if (p) p[*n] = (VkExtensionProperties){"VK_EXT_memory_budget", 1};
	++*n;
	return r;
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL device_proc(VkDevice d, const char *name);

// Kinds of objects whose creation and destruction are counted.
enum { INSTANCE, DEVICE, BUFFER, MEMORY, FENCE, SHADER, SET_LAYOUT, PIPELINE_LAYOUT, PIPELINE, CACHE, COMMAND_POOL, DESCRIPTOR_POOL, QUERY_POOL,
       IMAGE, VIEW, SAMPLER, PASS, FRAMEBUFFER, SEMAPHORE, SURFACE, SWAPCHAIN, KINDS };

// control is shared with the test, across processes and across unloading of this driver.
struct control {
	int64_t fault, result;      // the call that fails, from 1 on, or 0; and its result
	int64_t presentation;       // fault counts presentation calls only
	int64_t calls;              // of all functions below that return a result
	int64_t presentation_calls; // those of surfaces and swapchains among them
	int64_t live[KINDS];        // objects
	char failed[64];            // the function whose call failed
};

static struct control *control(void) {
	static struct control *shared;
	if (!shared && CONTROL[0]) {
		int file = open(CONTROL, O_RDWR);
		void *p = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
		close(file);
		if (p != MAP_FAILED) shared = p;
	}
	return shared;
}

// fails counts a call and reports whether it must fail.
static int fails(const char *name) {
	struct control *c = control();
	if (!c) return 0;
	int presentation = !strcmp(name + strlen(name) - 3, "KHR");
	int64_t call = __atomic_add_fetch(&c->calls, 1, __ATOMIC_SEQ_CST);
	int64_t shown = __atomic_add_fetch(&c->presentation_calls, presentation, __ATOMIC_SEQ_CST);
	if (c->presentation ? !presentation || shown != c->fault : call != c->fault) return 0;
	snprintf(c->failed, sizeof c->failed, "%s", name);
	return 1;
}

static void count(int kind, int n) {
	if (control()) __atomic_add_fetch(&control()->live[kind], n, __ATOMIC_SEQ_CST);
}

// The structures that these take are declared in headers of the window systems.
typedef VkResult(VKAPI_PTR *PFN_vkCreateXcbSurfaceKHR)(VkInstance, const void *, const VkAllocationCallbacks *, VkSurfaceKHR *);
typedef PFN_vkCreateXcbSurfaceKHR PFN_vkCreateXlibSurfaceKHR;

// The functions that a test can make fail. CALL just passes a call on, CREATE also
// counts the new object, DESTROY the object that is gone.
#define D VkDevice d
#define A const VkAllocationCallbacks *a
#define CALLS \
	CALL(vkEnumerateInstanceExtensionProperties, (const char *l, uint32_t *n, VkExtensionProperties *p), (l, n, p)) \
	CREATE(vkCreateInstance, INSTANCE, 1, (const VkInstanceCreateInfo *i, A, VkInstance *o), (i, a, o)) \
	DESTROY(vkDestroyInstance, INSTANCE, (VkInstance o, A), (o, a)) \
	CALL(vkEnumeratePhysicalDevices, (VkInstance i, uint32_t *n, VkPhysicalDevice *p), (i, n, p)) \
	CALL(vkEnumerateDeviceExtensionProperties, (VkPhysicalDevice d, const char *l, uint32_t *n, VkExtensionProperties *p), (d, l, n, p)) \
	CREATE(vkCreateDevice, DEVICE, 1, (VkPhysicalDevice d, const VkDeviceCreateInfo *i, A, VkDevice *o), (d, i, a, o)) \
	DESTROY(vkDestroyDevice, DEVICE, (VkDevice o, A), (o, a)) \
	CREATE(vkCreateBuffer, BUFFER, 1, (D, const VkBufferCreateInfo *i, A, VkBuffer *o), (d, i, a, o)) \
	DESTROY(vkDestroyBuffer, BUFFER, (D, VkBuffer o, A), (d, o, a)) \
	CREATE(vkAllocateMemory, MEMORY, 1, (D, const VkMemoryAllocateInfo *i, A, VkDeviceMemory *o), (d, i, a, o)) \
	DESTROY(vkFreeMemory, MEMORY, (D, VkDeviceMemory o, A), (d, o, a)) \
	CALL(vkBindBufferMemory, (D, VkBuffer b, VkDeviceMemory m, VkDeviceSize at), (d, b, m, at)) \
	CALL(vkMapMemory, (D, VkDeviceMemory m, VkDeviceSize at, VkDeviceSize n, VkMemoryMapFlags f, void **p), (d, m, at, n, f, p)) \
	CALL(vkInvalidateMappedMemoryRanges, (D, uint32_t n, const VkMappedMemoryRange *r), (d, n, r)) \
	CREATE(vkCreateFence, FENCE, 1, (D, const VkFenceCreateInfo *i, A, VkFence *o), (d, i, a, o)) \
	DESTROY(vkDestroyFence, FENCE, (D, VkFence o, A), (d, o, a)) \
	CALL(vkWaitForFences, (D, uint32_t n, const VkFence *f, VkBool32 all, uint64_t limit), (d, n, f, all, limit)) \
	CALL(vkResetFences, (D, uint32_t n, const VkFence *f), (d, n, f)) \
	CALL(vkDeviceWaitIdle, (D), (d)) \
	CALL(vkQueueSubmit, (VkQueue q, uint32_t n, const VkSubmitInfo *s, VkFence f), (q, n, s, f)) \
	CREATE(vkCreateShaderModule, SHADER, 1, (D, const VkShaderModuleCreateInfo *i, A, VkShaderModule *o), (d, i, a, o)) \
	DESTROY(vkDestroyShaderModule, SHADER, (D, VkShaderModule o, A), (d, o, a)) \
	CREATE(vkCreateDescriptorSetLayout, SET_LAYOUT, 1, (D, const VkDescriptorSetLayoutCreateInfo *i, A, VkDescriptorSetLayout *o), (d, i, a, o)) \
	DESTROY(vkDestroyDescriptorSetLayout, SET_LAYOUT, (D, VkDescriptorSetLayout o, A), (d, o, a)) \
	CREATE(vkCreatePipelineLayout, PIPELINE_LAYOUT, 1, (D, const VkPipelineLayoutCreateInfo *i, A, VkPipelineLayout *o), (d, i, a, o)) \
	DESTROY(vkDestroyPipelineLayout, PIPELINE_LAYOUT, (D, VkPipelineLayout o, A), (d, o, a)) \
	CREATE(vkCreateComputePipelines, PIPELINE, n, (D, VkPipelineCache c, uint32_t n, const VkComputePipelineCreateInfo *i, A, VkPipeline *o), (d, c, n, i, a, o)) \
	DESTROY(vkDestroyPipeline, PIPELINE, (D, VkPipeline o, A), (d, o, a)) \
	CREATE(vkCreatePipelineCache, CACHE, 1, (D, const VkPipelineCacheCreateInfo *i, A, VkPipelineCache *o), (d, i, a, o)) \
	DESTROY(vkDestroyPipelineCache, CACHE, (D, VkPipelineCache o, A), (d, o, a)) \
	CALL(vkGetPipelineCacheData, (D, VkPipelineCache c, size_t *n, void *p), (d, c, n, p)) \
	CREATE(vkCreateCommandPool, COMMAND_POOL, 1, (D, const VkCommandPoolCreateInfo *i, A, VkCommandPool *o), (d, i, a, o)) \
	DESTROY(vkDestroyCommandPool, COMMAND_POOL, (D, VkCommandPool o, A), (d, o, a)) \
	CALL(vkAllocateCommandBuffers, (D, const VkCommandBufferAllocateInfo *i, VkCommandBuffer *o), (d, i, o)) \
	CALL(vkBeginCommandBuffer, (VkCommandBuffer c, const VkCommandBufferBeginInfo *i), (c, i)) \
	CALL(vkEndCommandBuffer, (VkCommandBuffer c), (c)) \
	CREATE(vkCreateDescriptorPool, DESCRIPTOR_POOL, 1, (D, const VkDescriptorPoolCreateInfo *i, A, VkDescriptorPool *o), (d, i, a, o)) \
	DESTROY(vkDestroyDescriptorPool, DESCRIPTOR_POOL, (D, VkDescriptorPool o, A), (d, o, a)) \
	CALL(vkAllocateDescriptorSets, (D, const VkDescriptorSetAllocateInfo *i, VkDescriptorSet *o), (d, i, o)) \
	CREATE(vkCreateQueryPool, QUERY_POOL, 1, (D, const VkQueryPoolCreateInfo *i, A, VkQueryPool *o), (d, i, a, o)) \
	DESTROY(vkDestroyQueryPool, QUERY_POOL, (D, VkQueryPool o, A), (d, o, a)) \
	CALL(vkGetQueryPoolResults, (D, VkQueryPool q, uint32_t first, uint32_t n, size_t size, void *p, VkDeviceSize stride, VkQueryResultFlags f), (d, q, first, n, size, p, stride, f)) \
	CREATE(vkCreateImage, IMAGE, 1, (D, const VkImageCreateInfo *i, A, VkImage *o), (d, i, a, o)) \
	DESTROY(vkDestroyImage, IMAGE, (D, VkImage o, A), (d, o, a)) \
	CALL(vkBindImageMemory, (D, VkImage i, VkDeviceMemory m, VkDeviceSize at), (d, i, m, at)) \
	CREATE(vkCreateImageView, VIEW, 1, (D, const VkImageViewCreateInfo *i, A, VkImageView *o), (d, i, a, o)) \
	DESTROY(vkDestroyImageView, VIEW, (D, VkImageView o, A), (d, o, a)) \
	CREATE(vkCreateSampler, SAMPLER, 1, (D, const VkSamplerCreateInfo *i, A, VkSampler *o), (d, i, a, o)) \
	DESTROY(vkDestroySampler, SAMPLER, (D, VkSampler o, A), (d, o, a)) \
	CREATE(vkCreateRenderPass, PASS, 1, (D, const VkRenderPassCreateInfo *i, A, VkRenderPass *o), (d, i, a, o)) \
	DESTROY(vkDestroyRenderPass, PASS, (D, VkRenderPass o, A), (d, o, a)) \
	CREATE(vkCreateFramebuffer, FRAMEBUFFER, 1, (D, const VkFramebufferCreateInfo *i, A, VkFramebuffer *o), (d, i, a, o)) \
	DESTROY(vkDestroyFramebuffer, FRAMEBUFFER, (D, VkFramebuffer o, A), (d, o, a)) \
	CREATE(vkCreateSemaphore, SEMAPHORE, 1, (D, const VkSemaphoreCreateInfo *i, A, VkSemaphore *o), (d, i, a, o)) \
	DESTROY(vkDestroySemaphore, SEMAPHORE, (D, VkSemaphore o, A), (d, o, a)) \
	CREATE(vkCreateGraphicsPipelines, PIPELINE, n, (D, VkPipelineCache c, uint32_t n, const VkGraphicsPipelineCreateInfo *i, A, VkPipeline *o), (d, c, n, i, a, o)) \
	CREATE(vkCreateXcbSurfaceKHR, SURFACE, 1, (VkInstance i, const void *s, A, VkSurfaceKHR *o), (i, s, a, o)) \
	CREATE(vkCreateXlibSurfaceKHR, SURFACE, 1, (VkInstance i, const void *s, A, VkSurfaceKHR *o), (i, s, a, o)) \
	DESTROY(vkDestroySurfaceKHR, SURFACE, (VkInstance i, VkSurfaceKHR o, A), (i, o, a)) \
	CALL(vkGetPhysicalDeviceSurfaceSupportKHR, (VkPhysicalDevice d, uint32_t f, VkSurfaceKHR s, VkBool32 *p), (d, f, s, p)) \
	CALL(vkGetPhysicalDeviceSurfaceCapabilitiesKHR, (VkPhysicalDevice d, VkSurfaceKHR s, VkSurfaceCapabilitiesKHR *p), (d, s, p)) \
	CALL(vkGetPhysicalDeviceSurfaceFormatsKHR, (VkPhysicalDevice d, VkSurfaceKHR s, uint32_t *n, VkSurfaceFormatKHR *p), (d, s, n, p)) \
	CREATE(vkCreateSwapchainKHR, SWAPCHAIN, 1, (D, const VkSwapchainCreateInfoKHR *i, A, VkSwapchainKHR *o), (d, i, a, o)) \
	DESTROY(vkDestroySwapchainKHR, SWAPCHAIN, (D, VkSwapchainKHR o, A), (d, o, a)) \
	CALL(vkGetSwapchainImagesKHR, (D, VkSwapchainKHR s, uint32_t *n, VkImage *p), (d, s, n, p)) \
	CALL(vkAcquireNextImageKHR, (D, VkSwapchainKHR s, uint64_t limit, VkSemaphore w, VkFence f, uint32_t *p), (d, s, limit, w, f, p)) \
	CALL(vkQueuePresentKHR, (VkQueue q, const VkPresentInfoKHR *i), (q, i))

#define CALL(name, parameters, arguments) \
	static PFN_##name real_##name; \
	static VKAPI_ATTR VkResult VKAPI_CALL may_##name parameters { \
		if (!fails(#name)) return real_##name arguments; \
		if (control()->result == VK_SUBOPTIMAL_KHR) real_##name arguments; /* a kind of success */ \
		return (VkResult)control()->result; \
	}
#define CREATE(name, kind, number, parameters, arguments) \
	static PFN_##name real_##name; \
	static VKAPI_ATTR VkResult VKAPI_CALL may_##name parameters { \
		if (fails(#name)) return (VkResult)control()->result; \
		VkResult r = real_##name arguments; \
		if (r == VK_SUCCESS) count(kind, number); \
		return r; \
	}
#define DESTROY(name, kind, parameters, arguments) \
	static PFN_##name real_##name; \
	static VKAPI_ATTR void VKAPI_CALL may_##name parameters { \
		if (o) count(kind, -1); \
		real_##name arguments; \
	}
CALLS
#undef CALL
#undef CREATE
#undef DESTROY

// replaced returns the replacement for the named function, which is f in the real
// driver, or NULL.
static PFN_vkVoidFunction replaced(const char *name, PFN_vkVoidFunction f) {
#define FAULT(function, result) \
	if (!strcmp(name, #function)) return (PFN_vkVoidFunction)fail_##function;
	FAULTS
#define CALL(function, ...) \
	if (f && control() && !strcmp(name, #function)) { \
		real_##function = (PFN_##function)f; \
		return (PFN_vkVoidFunction)may_##function; \
	}
#define CREATE CALL
#define DESTROY CALL
	CALLS
	return NULL;
}

EXPORT VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL vk_icdGetInstanceProcAddr(VkInstance i, const char *name) {
	if (!real_instance_proc) real_instance_proc = (PFN_vkGetInstanceProcAddr)real("vk_icdGetInstanceProcAddr");
	PFN_vkVoidFunction f = real_instance_proc(i, name), other = replaced(name, f);
	if (other || !f) return other;
	if (!strcmp(name, "vkGetPhysicalDeviceProperties")) {
		real_properties = (PFN_vkGetPhysicalDeviceProperties)f;
		return (PFN_vkVoidFunction)properties;
	}
	if (!strcmp(name, "vkGetPhysicalDeviceProperties2") || !strcmp(name, "vkGetPhysicalDeviceProperties2KHR")) {
		real_properties2 = (PFN_vkGetPhysicalDeviceProperties2)f;
		return (PFN_vkVoidFunction)properties2;
	}
	if (!strcmp(name, "vkGetPhysicalDeviceMemoryProperties2") || !strcmp(name, "vkGetPhysicalDeviceMemoryProperties2KHR")) {
		real_memory2 = (PFN_vkGetPhysicalDeviceMemoryProperties2)f;
		return (PFN_vkVoidFunction)memory2;
	}
	if (BUDGET && !strcmp(name, "vkEnumerateDeviceExtensionProperties")) {
		real_extensions = (PFN_vkEnumerateDeviceExtensionProperties)f;
		return (PFN_vkVoidFunction)extensions;
	}
	if (!strcmp(name, "vkGetDeviceProcAddr")) {
		real_device_proc = (PFN_vkGetDeviceProcAddr)f;
		return (PFN_vkVoidFunction)device_proc;
	}
	return f;
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL device_proc(VkDevice d, const char *name) {
	PFN_vkVoidFunction f = real_device_proc(d, name), other = replaced(name, f);
	return other ? other : f;
}

EXPORT VKAPI_ATTR VkResult VKAPI_CALL vk_icdNegotiateLoaderICDInterfaceVersion(uint32_t *version) {
	return ((VkResult(VKAPI_PTR *)(uint32_t *))real("vk_icdNegotiateLoaderICDInterfaceVersion"))(version);
}
