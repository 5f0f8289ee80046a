// The Vulkan structures and calls of drawing and presentation that bypass
// vulkan-go, in the form of call.h; see call.go for the reasons.
#ifndef FMNIST_GPU_PRESENT_H
#define FMNIST_GPU_PRESENT_H

#include "call.h"

typedef struct { // VkSurfaceCapabilitiesKHR
	uint32_t min_images, max_images, width, height, min_extent[2], max_extent[2], max_layers;
	uint32_t transforms, transform, composite_alpha, usage;
} surface_capabilities;

typedef struct { // VkSurfaceFormatKHR
	int32_t format, colour_space;
} surface_format;

typedef struct { // VkSwapchainCreateInfoKHR
	int32_t type;
	const void *next;
	uint32_t flags;
	uint64_t surface;
	uint32_t images;
	int32_t format, colour_space;
	uint32_t width, height, layers, usage;
	int32_t sharing;
	uint32_t family_count;
	const uint32_t *families;
	uint32_t transform, composite_alpha;
	int32_t mode;
	uint32_t clipped;
	uint64_t old;
} swapchain_info;

typedef struct { // VkPresentInfoKHR
	int32_t type;
	const void *next;
	uint32_t wait_count;
	const uint64_t *waits;
	uint32_t count;
	const uint64_t *swapchains;
	const uint32_t *images;
	int32_t *results;
} present_info;

typedef struct { // VkImageSubresourceRange
	uint32_t aspects, level, levels, layer, layers;
} image_range;

typedef struct { // VkImageSubresourceLayers
	uint32_t aspects, level, layer, layers;
} image_layers;

typedef struct { // VkImageMemoryBarrier
	int32_t type;
	const void *next;
	uint32_t source_access, destination_access;
	int32_t old_layout, new_layout;
	uint32_t source_family, destination_family;
	uint64_t image;
	image_range range;
} image_barrier;

typedef struct { // VkBufferImageCopy
	uint64_t offset;
	uint32_t row_length, image_height;
	image_layers layers;
	int32_t x, y, z;
	uint32_t width, height, depth;
} buffer_image_copy;

typedef struct { // VkImageBlit
	image_layers source;
	int32_t source_corners[2][3];
	image_layers destination;
	int32_t destination_corners[2][3];
} image_blit;

typedef struct { // VkViewport
	float x, y, width, height, near, far;
} viewport;

typedef struct { // VkRect2D
	int32_t x, y;
	uint32_t width, height;
} rectangle;

typedef struct { // VkRenderPassBeginInfo
	int32_t type;
	const void *next;
	uint64_t pass, framebuffer;
	rectangle area;
	uint32_t clear_count;
	const float (*clears)[4];
} pass_begin;

typedef struct { // VkDescriptorImageInfo
	uint64_t sampler, view;
	int32_t layout;
} descriptor_image;

typedef struct { // VkVertexInputBindingDescription
	uint32_t binding, stride;
	int32_t rate;
} vertex_binding;

typedef struct { // VkVertexInputAttributeDescription
	uint32_t location, binding;
	int32_t format;
	uint32_t offset;
} vertex_attribute;

typedef struct { // VkPipelineVertexInputStateCreateInfo
	int32_t type;
	const void *next;
	uint32_t flags, binding_count;
	const vertex_binding *bindings;
	uint32_t attribute_count;
	const vertex_attribute *attributes;
} vertex_input;

typedef struct { // VkPipelineInputAssemblyStateCreateInfo
	int32_t type;
	const void *next;
	uint32_t flags;
	int32_t topology;
	uint32_t restart;
} input_assembly;

typedef struct { // VkPipelineViewportStateCreateInfo
	int32_t type;
	const void *next;
	uint32_t flags, viewport_count;
	const viewport *viewports;
	uint32_t scissor_count;
	const rectangle *scissors;
} viewport_state;

typedef struct { // VkPipelineRasterizationStateCreateInfo
	int32_t type;
	const void *next;
	uint32_t flags, depth_clamp, discard;
	int32_t polygon_mode;
	uint32_t cull;
	int32_t front_face;
	uint32_t depth_bias;
	float constant, clamp, slope, line_width;
} rasterization;

typedef struct { // VkPipelineMultisampleStateCreateInfo
	int32_t type;
	const void *next;
	uint32_t flags, samples, sample_shading;
	float min_shading;
	const uint32_t *mask;
	uint32_t alpha_to_coverage, alpha_to_one;
} multisampling;

typedef struct { // VkPipelineColorBlendAttachmentState
	uint32_t enable;
	int32_t source, destination, op, source_alpha, destination_alpha, alpha_op;
	uint32_t components;
} blend_attachment;

typedef struct { // VkPipelineColorBlendStateCreateInfo
	int32_t type;
	const void *next;
	uint32_t flags, logic_enable;
	int32_t logic_op;
	uint32_t count;
	const blend_attachment *attachments;
	float constants[4];
} blending;

typedef struct { // VkPipelineDynamicStateCreateInfo
	int32_t type;
	const void *next;
	uint32_t flags, count;
	const int32_t *states;
} dynamic_state;

typedef struct { // VkGraphicsPipelineCreateInfo
	int32_t type;
	const void *next;
	uint32_t flags, stage_count;
	const stage_info *stages;
	const vertex_input *input;
	const input_assembly *assembly;
	const void *tessellation;
	const viewport_state *viewport;
	const rasterization *rasterization;
	const multisampling *multisampling;
	const void *depth;
	const blending *blending;
	const dynamic_state *dynamic;
	uint64_t layout, pass;
	uint32_t subpass;
	uint64_t base;
	int32_t base_index;
} graphics_pipeline_info;

static inline int32_t call_surface_support(void *f, void *device, uint32_t family, uint64_t surface, uint32_t *supported) {
	return ((int32_t (*)(void *, uint32_t, uint64_t, uint32_t *))f)(device, family, surface, supported);
}

static inline int32_t call_surface_capabilities(void *f, void *device, uint64_t surface, surface_capabilities *c) {
	return ((int32_t (*)(void *, uint64_t, surface_capabilities *))f)(device, surface, c);
}

static inline int32_t call_surface_formats(void *f, void *device, uint64_t surface, uint32_t *count, surface_format *formats) {
	return ((int32_t (*)(void *, uint64_t, uint32_t *, surface_format *))f)(device, surface, count, formats);
}

static inline void call_destroy_surface(void *f, void *instance, uint64_t surface) {
	((void (*)(void *, uint64_t, const void *))f)(instance, surface, NULL);
}

static inline int32_t call_create_swapchain(void *f, void *device, const swapchain_info *info, uint64_t *swapchain) {
	return ((int32_t (*)(void *, const swapchain_info *, const void *, uint64_t *))f)(device, info, NULL, swapchain);
}

static inline void call_destroy_swapchain(void *f, void *device, uint64_t swapchain) {
	((void (*)(void *, uint64_t, const void *))f)(device, swapchain, NULL);
}

static inline int32_t call_swapchain_images(void *f, void *device, uint64_t swapchain, uint32_t *count, uint64_t *images) {
	return ((int32_t (*)(void *, uint64_t, uint32_t *, uint64_t *))f)(device, swapchain, count, images);
}

static inline int32_t call_acquire(void *f, void *device, uint64_t swapchain, uint64_t limit, uint64_t semaphore, uint32_t *image) {
	return ((int32_t (*)(void *, uint64_t, uint64_t, uint64_t, uint64_t, uint32_t *))f)(device, swapchain, limit, semaphore, 0, image);
}

static inline int32_t call_present(void *f, void *queue, uint64_t swapchain, uint32_t image, uint64_t wait) {
	present_info info = {.type = 1000001001, .wait_count = 1, .waits = &wait, .count = 1, .swapchains = &swapchain, .images = &image};
	return ((int32_t (*)(void *, const present_info *))f)(queue, &info);
}

// call_submit_frame submits a command buffer. Its transfers wait for one
// semaphore, and its end signals another; 0 for neither.
static inline int32_t call_submit_frame(void *f, void *queue, void *commands, uint64_t wait, uint64_t signal, uint64_t fence) {
	const uint32_t transfer = 0x1000;
	submit_info info = {.type = 4, .wait_count = wait != 0, .waits = &wait, .wait_stages = &transfer, .command_count = 1,
	                    .commands = &commands, .signal_count = signal != 0, .signals = &signal};
	return ((int32_t (*)(void *, uint32_t, const submit_info *, uint64_t))f)(queue, 1, &info, fence);
}

// call_image_barrier orders accesses to a colour image and changes its layout.
static inline void call_image_barrier(void *f, void *commands, uint64_t image, uint32_t source_stages, uint32_t destination_stages,
                                      uint32_t source_access, uint32_t destination_access, int32_t old_layout, int32_t new_layout) {
	image_barrier barrier = {.type = 45, .source_access = source_access, .destination_access = destination_access,
	                         .old_layout = old_layout, .new_layout = new_layout, .source_family = ~0u, .destination_family = ~0u,
	                         .image = image, .range = {1, 0, 1, 0, 1}};
	((void (*)(void *, uint32_t, uint32_t, uint32_t, uint32_t, const void *, uint32_t, const void *, uint32_t,
	           const image_barrier *))f)(commands, source_stages, destination_stages, 0, 0, NULL, 0, NULL, 1, &barrier);
}

// call_copy_to_image copies the start of a buffer to a rectangle of an image
// in the layout TRANSFER_DST_OPTIMAL.
static inline void call_copy_to_image(void *f, void *commands, uint64_t buffer, uint64_t image, rectangle r) {
	buffer_image_copy copy = {.layers = {1, 0, 0, 1}, .x = r.x, .y = r.y, .width = r.width, .height = r.height, .depth = 1};
	((void (*)(void *, uint64_t, uint64_t, int32_t, uint32_t, const buffer_image_copy *))f)(commands, buffer, image, 7, 1, &copy);
}

// call_copy_from_image copies a rectangle of an image in the layout
// TRANSFER_SRC_OPTIMAL to the start of a buffer.
static inline void call_copy_from_image(void *f, void *commands, uint64_t image, uint64_t buffer, rectangle r) {
	buffer_image_copy copy = {.layers = {1, 0, 0, 1}, .x = r.x, .y = r.y, .width = r.width, .height = r.height, .depth = 1};
	((void (*)(void *, uint64_t, int32_t, uint64_t, uint32_t, const buffer_image_copy *))f)(commands, image, 6, buffer, 1, &copy);
}

// call_blit copies a whole image to another of the same size, and converts
// its format.
static inline void call_blit(void *f, void *commands, uint64_t source, uint64_t destination, int32_t width, int32_t height) {
	image_blit blit = {.source = {1, 0, 0, 1}, .source_corners = {{0}, {width, height, 1}},
	                   .destination = {1, 0, 0, 1}, .destination_corners = {{0}, {width, height, 1}}};
	((void (*)(void *, uint64_t, int32_t, uint64_t, int32_t, uint32_t, const image_blit *, int32_t))f)(
	    commands, source, 6, destination, 7, 1, &blit, 0);
}

// call_begin_pass begins a render pass over a whole framebuffer, clears it, and
// sets viewport and scissor to all of it.
static inline void call_begin_pass(void *begin, void *set_viewport, void *set_scissor, void *commands, uint64_t pass,
                                   uint64_t framebuffer, uint32_t width, uint32_t height, const float clear[4]) {
	pass_begin info = {.type = 43, .pass = pass, .framebuffer = framebuffer, .area = {0, 0, width, height},
	                   .clear_count = 1, .clears = (const float (*)[4])clear};
	viewport v = {0, 0, (float)width, (float)height, 0, 1};
	((void (*)(void *, const pass_begin *, int32_t))begin)(commands, &info, 0);
	((void (*)(void *, uint32_t, uint32_t, const viewport *))set_viewport)(commands, 0, 1, &v);
	((void (*)(void *, uint32_t, uint32_t, const rectangle *))set_scissor)(commands, 0, 1, &info.area);
}

// call_write_texture writes a texture and its sampler to binding 0 of a set.
static inline void call_write_texture(void *f, void *device, uint64_t set, uint64_t sampler, uint64_t view) {
	descriptor_image image = {sampler, view, 5};
	write_descriptor_set write = {.type = 35, .set = set, .count = 1, .descriptor_type = 1, .images = &image};
	((void (*)(void *, uint32_t, const write_descriptor_set *, uint32_t, const void *))f)(device, 1, &write, 0, NULL);
}

// call_create_graphics builds a pipeline that draws triangles of either
// orientation, blends them over what is there by their alpha, and takes viewport
// and scissor when it runs.
static inline int32_t call_create_graphics(void *f, void *device, uint64_t cache, uint64_t vertex, uint64_t fragment, uint64_t layout,
                                           uint64_t pass, uint32_t stride, uint32_t count, const vertex_attribute *attributes,
                                           uint64_t *pipeline) {
	const int32_t states[2] = {0, 1}; // viewport, scissor
	const stage_info stages[2] = {
	    {.type = 18, .stage = 1, .module = vertex, .name = "main"},
	    {.type = 18, .stage = 16, .module = fragment, .name = "main"},
	};
	const vertex_binding binding = {0, stride, 0};
	const vertex_input input = {.type = 19, .binding_count = 1, .bindings = &binding, .attribute_count = count, .attributes = attributes};
	const input_assembly assembly = {.type = 20, .topology = 3};
	const viewport_state viewports = {.type = 22, .viewport_count = 1, .scissor_count = 1};
	const rasterization raster = {.type = 23, .line_width = 1};
	const multisampling samples = {.type = 24, .samples = 1};
	const blend_attachment blend = {1, 6, 7, 0, 1, 7, 0, 15};
	const blending blends = {.type = 26, .count = 1, .attachments = &blend};
	const dynamic_state dynamic = {.type = 27, .count = 2, .states = states};
	graphics_pipeline_info info = {
	    .type = 28, .stage_count = 2, .stages = stages, .input = &input, .assembly = &assembly, .viewport = &viewports,
	    .rasterization = &raster, .multisampling = &samples, .blending = &blends, .dynamic = &dynamic,
	    .layout = layout, .pass = pass, .base_index = -1,
	};
	return ((int32_t (*)(void *, uint64_t, uint32_t, const graphics_pipeline_info *, const void *, uint64_t *))f)(
	    device, cache, 1, &info, NULL, pipeline);
}

#endif
