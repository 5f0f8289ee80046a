// What every shader needs. Constant 0 of every shader is the number of
// threads of a workgroup, which the host picks for the device.
#ifndef COMMON_GLSL
#define COMMON_GLSL

#extension GL_EXT_control_flow_attributes : require

layout(local_size_x_id = 0) in;
layout(constant_id = 0) const uint THREADS = 64;

// Index of this workgroup in a grid that the host folds over two axes, because
// a device may bound one axis to 65535. The last row can be partly surplus, so
// users compare the index with their own count.
uint group_index() { return gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x; }

// Index of this thread in the whole folded grid.
uint thread_index() { return group_index() * THREADS + gl_LocalInvocationID.x; }

// Tests the bits: a driver may compile isnan() as if there were no NaN.
bool is_nan(float v) { return (floatBitsToUint(v) & 0x7fffffffu) > 0x7f800000u; }

#endif
