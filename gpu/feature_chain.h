// Chains of the structures that vulkan-go lacks, for
// vkGetPhysicalDeviceProperties2 and vkGetPhysicalDeviceFeatures2.
#ifndef FMNIST_GPU_FEATURE_CHAIN_H
#define FMNIST_GPU_FEATURE_CHAIN_H

#include <stdint.h>
#include <string.h>

typedef struct chain { // VkBaseOutStructure
	int32_t type;
	struct chain *next;
} chain;

// device_properties holds the properties that are read through a chain.
typedef struct {
	struct { // VkPhysicalDeviceProperties2
		chain link;
		uint64_t core[128]; // VkPhysicalDeviceProperties, which has 824 bytes
	} head;
	struct { // VkPhysicalDeviceIDProperties
		chain link;
		uint8_t device_uuid[16], driver_uuid[16], luid[8];
		uint32_t node_mask, luid_valid;
	} id;
	struct { // VkPhysicalDeviceSubgroupProperties
		chain link;
		uint32_t size, stages, operations, quad_in_all_stages;
	} subgroup;
	struct { // VkPhysicalDeviceMaintenance3Properties
		chain link;
		uint32_t max_per_set_descriptors;
		uint64_t max_memory_allocation_size;
	} maintenance3;
	struct { // VkPhysicalDeviceDriverProperties
		chain link;
		int32_t id;
		char name[256], info[256];
		uint8_t conformance[4];
	} driver;
	struct { // VkPhysicalDeviceShaderCorePropertiesAMD
		chain link;
		uint32_t engines, arrays_per_engine, units_per_array, of_unit[11];
	} amd;
	struct { // VkPhysicalDeviceShaderSMBuiltinsPropertiesNV
		chain link;
		uint32_t multiprocessors, warps_per_multiprocessor;
	} nvidia;
	struct { // VkPhysicalDeviceShaderCoreBuiltinsPropertiesARM
		chain link;
		uint64_t mask;
		uint32_t cores, warps_per_core;
	} arm;
} device_properties;

// device_features holds the features that a device is asked for and, in the
// same form, that vkCreateDevice is told to switch on.
typedef struct {
	struct { // VkPhysicalDeviceFeatures2
		chain link;
		uint32_t core[64]; // VkPhysicalDeviceFeatures, which has 55
	} head;
	struct { // VkPhysicalDevice16BitStorageFeatures
		chain link;
		uint32_t storage_buffer, uniform_and_storage_buffer, push_constant, input_output;
	} storage16;
	struct { // VkPhysicalDevice8BitStorageFeatures
		chain link;
		uint32_t storage_buffer, uniform_and_storage_buffer, push_constant;
	} storage8;
	struct { // VkPhysicalDeviceShaderFloat16Int8Features
		chain link;
		uint32_t float16, int8;
	} float16_int8;
	struct { // VkPhysicalDeviceVulkanMemoryModelFeatures
		chain link;
		uint32_t model, device_scope, availability_chains;
	} memory_model;
	struct { // VkPhysicalDeviceCooperativeMatrixFeaturesKHR
		chain link;
		uint32_t matrix, robust_buffer_access;
	} cooperative_matrix;
	struct { // VkPhysicalDeviceShaderBfloat16FeaturesKHR
		chain link;
		uint32_t type, dot_product, cooperative_matrix;
	} bfloat16;
	struct { // VkPhysicalDevicePipelineExecutablePropertiesFeaturesKHR
		chain link;
		uint32_t info;
	} executables;
} device_features;

typedef struct { // VkCooperativeMatrixPropertiesKHR
	int32_t type;
	void *next;
	uint32_t m, n, k;
	int32_t a, b, c, result; // VkComponentTypeKHR
	uint32_t saturating;
	int32_t scope;
} matrix_shape;

// matrix_shapes calls vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR.
static inline int32_t matrix_shapes(void *f, void *device, uint32_t *count, matrix_shape *shapes) {
	for (uint32_t i = 0; shapes && i < *count; i++) {
		memset(&shapes[i], 0, sizeof shapes[i]);
		shapes[i].type = 1000506001;
	}
	return ((int32_t (*)(void *, uint32_t *, matrix_shape *))f)(device, count, shapes);
}

// device_memory holds VkPhysicalDeviceMemoryProperties2 with the budget of each heap.
typedef struct {
	struct { // VkPhysicalDeviceMemoryProperties2
		chain link;
		uint64_t core[65]; // VkPhysicalDeviceMemoryProperties
	} head;
	struct { // VkPhysicalDeviceMemoryBudgetPropertiesEXT
		chain link;
		uint64_t budget[16], usage[16];
	} budget;
} device_memory;

static inline chain *chain_add(chain *tail, chain *link, int32_t type) {
	link->type = type;
	link->next = NULL;
	if (tail) tail->next = link;
	return link;
}

// properties_query reads the properties, those of extensions only if the device
// has the extension.
static inline void properties_query(void *f, void *device, int driver, int amd, int nvidia, int arm, device_properties *p) {
	memset(p, 0, sizeof *p);
	chain *tail = chain_add(NULL, &p->head.link, 1000059001);
	tail = chain_add(tail, &p->id.link, 1000071004);
	tail = chain_add(tail, &p->subgroup.link, 1000094000);
	tail = chain_add(tail, &p->maintenance3.link, 1000168000);
	if (driver) tail = chain_add(tail, &p->driver.link, 1000196000);
	if (amd) tail = chain_add(tail, &p->amd.link, 1000185000);
	if (nvidia) tail = chain_add(tail, &p->nvidia.link, 1000154001);
	if (arm) chain_add(tail, &p->arm.link, 1000497001);
	((void (*)(void *, void *))f)(device, &p->head);
}

// memory_query reads the budget of each heap of a device with VK_EXT_memory_budget.
static inline void memory_query(void *f, void *device, device_memory *m) {
	memset(m, 0, sizeof *m);
	chain *tail = chain_add(NULL, &m->head.link, 1000059006);
	chain_add(tail, &m->budget.link, 1000237000);
	((void (*)(void *, void *))f)(device, &m->head);
}

// features_query reads the features, those of extensions only if the device
// has the extension. It leaves in p what is to be switched on: none of the
// core features, among them checks of buffer bounds that cost speed.
static inline void features_query(void *f, void *device, int storage8, int float16_int8, int memory_model,
                                  int cooperative_matrix, int bfloat16, int executables, device_features *p) {
	memset(p, 0, sizeof *p);
	chain *tail = chain_add(NULL, &p->head.link, 1000059000);
	tail = chain_add(tail, &p->storage16.link, 1000083000);
	if (storage8) tail = chain_add(tail, &p->storage8.link, 1000177000);
	if (float16_int8) tail = chain_add(tail, &p->float16_int8.link, 1000082000);
	if (memory_model) tail = chain_add(tail, &p->memory_model.link, 1000211000);
	if (cooperative_matrix) tail = chain_add(tail, &p->cooperative_matrix.link, 1000506000);
	if (bfloat16) tail = chain_add(tail, &p->bfloat16.link, 1000141000);
	if (executables) chain_add(tail, &p->executables.link, 1000269000);
	((void (*)(void *, void *))f)(device, &p->head);
	memset(p->head.core, 0, sizeof p->head.core);
	p->cooperative_matrix.robust_buffer_access = 0;
}

#endif
