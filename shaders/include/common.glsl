// Included by every shader. Constant 0 of every shader is the number of threads
// per workgroup, which the host picks for the device.
#ifndef COMMON_GLSL
#define COMMON_GLSL

#extension GL_EXT_control_flow_attributes : require

layout(local_size_x_id = 0) in;
layout(constant_id = 0) const uint THREADS = 64;

// Returns the index of this workgroup in a grid that the host folds over two
// axes, because a device may limit one axis to 65535. The folded grid can have
// surplus workgroups, so callers compare the index with their count.
uint group_index() { return gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x; }

// Returns the index of this thread in the folded grid.
uint thread_index() { return group_index() * THREADS + gl_LocalInvocationID.x; }

// Tests the bits, because drivers may assume that isnan() is never true.
bool is_nan(float v) { return (floatBitsToUint(v) & 0x7fffffffu) > 0x7f800000u; }

#endif
