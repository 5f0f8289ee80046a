#version 450
// y[i] += a·x[i] + c in 32-bit integers, for i below n.
// glslc -O --target-env=vulkan1.1 -o axpy.spv axpy.comp
layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint c = 0;
layout(set = 0, binding = 0) readonly buffer X { uint x[]; };
layout(set = 0, binding = 1) buffer Y { uint y[]; };
layout(push_constant) uniform Push { uint n, a; };

void main() {
	uint i = gl_GlobalInvocationID.x;
	if (i < n) y[i] += a * x[i] + c;
}
