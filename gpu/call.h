// The Vulkan structures and calls that bypass vulkan-go, with the layout that
// the Vulkan 1.1 specification defines. Handles are integers here, so that no
// Go pointer ever holds one; see call.go for the reasons.
#ifndef FMNIST_GPU_CALL_H
#define FMNIST_GPU_CALL_H

#include <stddef.h>
#include <stdint.h>

typedef struct { // VkSubmitInfo
	int32_t type;
	const void *next;
	uint32_t wait_count;
	const uint64_t *waits;
	const uint32_t *wait_stages;
	uint32_t command_count;
	void *const *commands;
	uint32_t signal_count;
	const uint64_t *signals;
} submit_info;

typedef struct { // VkDescriptorBufferInfo
	uint64_t buffer, offset, range;
} descriptor_buffer;

typedef struct { // VkWriteDescriptorSet
	int32_t type;
	const void *next;
	uint64_t set;
	uint32_t binding, element, count;
	int32_t descriptor_type;
	const void *images;
	const descriptor_buffer *buffers;
	const void *views;
} write_descriptor_set;

typedef struct { // VkMemoryBarrier
	int32_t type;
	const void *next;
	uint32_t source_access, destination_access;
} memory_barrier;

typedef struct { // VkBufferCopy
	uint64_t source, destination, size;
} buffer_copy;

typedef struct { // VkMappedMemoryRange
	int32_t type;
	const void *next;
	uint64_t memory, offset, size;
} mapped_range;

typedef struct { // VkSpecializationMapEntry
	uint32_t id, offset;
	size_t size;
} specialization_entry;

typedef struct { // VkSpecializationInfo
	uint32_t count;
	const specialization_entry *entries;
	size_t size;
	const void *data;
} specialization_info;

typedef struct { // VkPipelineShaderStageCreateInfo
	int32_t type;
	const void *next;
	uint32_t flags, stage;
	uint64_t module;
	const char *name;
	const specialization_info *specialization;
} stage_info;

typedef struct { // VkComputePipelineCreateInfo
	int32_t type;
	const void *next;
	uint32_t flags;
	stage_info stage;
	uint64_t layout, base;
	int32_t base_index;
} compute_pipeline_info;

typedef struct { // VkExtensionProperties
	char name[256];
	uint32_t version;
} extension_properties;

typedef struct { // VkLayerProperties
	char name[256];
	uint32_t version, implementation;
	char description[256];
} layer_properties;

typedef struct { // VkQueueFamilyProperties
	uint32_t flags, count, timestamp_bits, granularity[3];
} queue_family;

typedef struct { // VkDebugUtilsMessengerCallbackDataEXT, as far as it is read
	int32_t type;
	const void *next;
	uint32_t flags;
	const char *id;
	int32_t number;
	const char *message;
} message_data;

typedef uint32_t (*message_callback)(uint32_t severity, uint32_t types, message_data *data, uintptr_t user);

typedef struct { // VkDebugUtilsMessengerCreateInfoEXT
	int32_t type;
	const void *next;
	uint32_t flags, severities, types;
	message_callback callback;
	uintptr_t user;
} messenger_info;

typedef struct { // VkValidationFeaturesEXT
	int32_t type;
	const void *next;
	uint32_t enabled_count;
	const int32_t *enabled;
	uint32_t disabled_count;
	const int32_t *disabled;
} validation_features;

static inline void *call_get_proc(void *get, void *instance, const char *name) {
	return ((void *(*)(void *, const char *))get)(instance, name);
}

static inline int32_t call_instance_version(void *f, uint32_t *version) {
	return ((int32_t (*)(uint32_t *))f)(version);
}

static inline int32_t call_layers(void *f, uint32_t *count, layer_properties *layers) {
	return ((int32_t (*)(uint32_t *, layer_properties *))f)(count, layers);
}

static inline int32_t call_instance_extensions(void *f, const char *layer, uint32_t *count, extension_properties *e) {
	return ((int32_t (*)(const char *, uint32_t *, extension_properties *))f)(layer, count, e);
}

static inline int32_t call_device_extensions(void *f, void *device, uint32_t *count, extension_properties *e) {
	return ((int32_t (*)(void *, const char *, uint32_t *, extension_properties *))f)(device, NULL, count, e);
}

static inline void call_queue_families(void *f, void *device, uint32_t *count, queue_family *families) {
	((void (*)(void *, uint32_t *, queue_family *))f)(device, count, families);
}

static inline int32_t call_create_messenger(void *f, void *instance, const messenger_info *info, uint64_t *messenger) {
	return ((int32_t (*)(void *, const messenger_info *, const void *, uint64_t *))f)(instance, info, NULL, messenger);
}

static inline void call_destroy_messenger(void *f, void *instance, uint64_t messenger) {
	((void (*)(void *, uint64_t, const void *))f)(instance, messenger, NULL);
}

typedef struct { // VkDebugUtilsObjectNameInfoEXT
	int32_t type;
	const void *next;
	int32_t object_type;
	uint64_t object;
	const char *name;
} object_name;

// call_name_pipeline names a pipeline for the validation layer's messages.
static inline int32_t call_name_pipeline(void *f, void *device, uint64_t pipeline, const char *name) {
	object_name info = {.type = 1000128000, .object_type = 19, .object = pipeline, .name = name};
	return ((int32_t (*)(void *, const object_name *))f)(device, &info);
}

enum { MAX_SUBMISSIONS = 64 }; // command buffers in one call_submit

// call_submit submits one command buffer several times.
static inline int32_t call_submit(void *f, void *queue, void *commands, uint32_t times, uint64_t fence) {
	void *list[MAX_SUBMISSIONS];
	for (uint32_t i = 0; i < times; i++) list[i] = commands;
	submit_info info = {.type = 4, .command_count = times, .commands = list};
	return ((int32_t (*)(void *, uint32_t, const submit_info *, uint64_t))f)(queue, 1, &info, fence);
}

// call_write_buffers writes storage buffers to bindings 0 … count-1 of a set:
// a write that runs past its binding continues with the next one.
static inline void call_write_buffers(void *f, void *device, uint64_t set, uint32_t count, const descriptor_buffer *buffers) {
	write_descriptor_set write = {.type = 35, .set = set, .count = count, .descriptor_type = 7, .buffers = buffers};
	((void (*)(void *, uint32_t, const write_descriptor_set *, uint32_t, const void *))f)(device, 1, &write, 0, NULL);
}

static inline void call_barrier(void *f, void *commands, uint32_t source_stages, uint32_t destination_stages,
                                uint32_t source_access, uint32_t destination_access) {
	memory_barrier barrier = {.type = 46, .source_access = source_access, .destination_access = destination_access};
	((void (*)(void *, uint32_t, uint32_t, uint32_t, uint32_t, const memory_barrier *, uint32_t, const void *, uint32_t,
	           const void *))f)(commands, source_stages, destination_stages, 0, 1, &barrier, 0, NULL, 0, NULL);
}

static inline void call_copy(void *f, void *commands, uint64_t source, uint64_t destination, uint64_t source_offset,
                             uint64_t destination_offset, uint64_t size) {
	buffer_copy copy = {source_offset, destination_offset, size};
	((void (*)(void *, uint64_t, uint64_t, uint32_t, const buffer_copy *))f)(commands, source, destination, 1, &copy);
}

// call_invalidate makes what the device wrote to all of a mapped memory
// visible to the host.
static inline int32_t call_invalidate(void *f, void *device, uint64_t memory) {
	mapped_range range = {.type = 6, .memory = memory, .size = ~0ULL};
	return ((int32_t (*)(void *, uint32_t, const mapped_range *))f)(device, 1, &range);
}

// VK_PIPELINE_CREATE_CAPTURE_STATISTICS_BIT_KHR and CAPTURE_INTERNAL_REPRESENTATIONS
enum { CAPTURE_EXECUTABLE = 0xc0 };

enum { MAX_SPECIALIZATION = 64 }; // constants in one call_create_pipeline

// call_create_pipeline builds a compute pipeline from the module's function
// main, with the words as specialisation constants 0 … count-1.
static inline int32_t call_create_pipeline(void *f, void *device, uint64_t cache, uint64_t module, uint64_t layout,
                                           uint32_t flags, uint32_t count, const uint32_t *words, uint64_t *pipeline) {
	specialization_entry entries[MAX_SPECIALIZATION];
	for (uint32_t i = 0; i < count; i++) entries[i] = (specialization_entry){i, 4 * i, 4};
	specialization_info constants = {count, entries, 4 * (size_t)count, words};
	compute_pipeline_info info = {
	    .type = 29,
	    .flags = flags,
	    .stage = {.type = 18, .stage = 0x20, .module = module, .name = "main", .specialization = &constants},
	    .layout = layout,
	    .base_index = -1,
	};
	return ((int32_t (*)(void *, uint64_t, uint32_t, const compute_pipeline_info *, const void *, uint64_t *))f)(
	    device, cache, 1, &info, NULL, pipeline);
}

#endif
