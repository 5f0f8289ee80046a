// The structures and calls of VK_KHR_pipeline_executable_properties, which
// vulkan-go lacks.
#ifndef FMNIST_GPU_EXECUTABLE_H
#define FMNIST_GPU_EXECUTABLE_H

#include <stddef.h>
#include <stdint.h>

typedef struct { // VkPipelineInfoKHR
	int32_t type;
	const void *next;
	uint64_t pipeline;
} pipeline_info;

typedef struct { // VkPipelineExecutableInfoKHR
	int32_t type;
	const void *next;
	uint64_t pipeline;
	uint32_t index;
} executable_info;

typedef struct { // VkPipelineExecutablePropertiesKHR
	int32_t type;
	void *next;
	uint32_t stages;
	char name[256], description[256];
	uint32_t subgroup_size;
} executable_properties;

typedef struct { // VkPipelineExecutableStatisticKHR
	int32_t type;
	void *next;
	char name[256], description[256];
	int32_t format;
	uint64_t value;
} executable_statistic;

typedef struct { // VkPipelineExecutableInternalRepresentationKHR
	int32_t type;
	void *next;
	char name[256], description[256];
	uint32_t is_text;
	size_t size;
	void *data;
} executable_representation;

// executable_subgroup_size returns that of a compute pipeline's only executable,
// 0 if there is none.
static inline uint32_t executable_subgroup_size(void *f, void *device, uint64_t pipeline) {
	pipeline_info info = {.type = 1000269001, .pipeline = pipeline};
	executable_properties p = {.type = 1000269002};
	uint32_t count = 1;
	((int32_t (*)(void *, const pipeline_info *, uint32_t *, executable_properties *))f)(device, &info, &count, &p);
	return count ? p.subgroup_size : 0;
}

// executable_statistics fills in up to *count statistics, or counts them if s is
// NULL.
static inline int32_t executable_statistics(void *f, void *device, uint64_t pipeline, uint32_t *count, executable_statistic *s) {
	executable_info info = {.type = 1000269003, .pipeline = pipeline};
	for (uint32_t i = 0; s && i < *count; i++) s[i].type = 1000269004;
	return ((int32_t (*)(void *, const executable_info *, uint32_t *, executable_statistic *))f)(device, &info, count, s);
}

// executable_representations is the same for internal representations; of one
// whose data is NULL it only fills in the size.
static inline int32_t executable_representations(void *f, void *device, uint64_t pipeline, uint32_t *count, executable_representation *r) {
	executable_info info = {.type = 1000269003, .pipeline = pipeline};
	for (uint32_t i = 0; r && i < *count; i++) r[i].type = 1000269005;
	return ((int32_t (*)(void *, const executable_info *, uint32_t *, executable_representation *))f)(device, &info, count, r);
}

#endif
