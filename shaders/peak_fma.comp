#version 450
#extension GL_GOOGLE_include_directive : require
// Independent chains of fused multiply-adds in registers, to measure arithmetic
// throughput. Storing the results keeps the compiler from removing them.
#include "common.glsl"

layout(push_constant) uniform Push { uint steps; float factor; };
layout(binding = 0) writeonly buffer Y { float y[]; }; // (threads)

const uint CHAINS = 8; // of vec4: kernels/vulkan/peak.go counts them

void main() {
    vec4 sum[CHAINS];
    [[unroll]] for (uint c = 0; c < CHAINS; c++) {
        sum[c] = vec4(float(gl_LocalInvocationID.x + c));
    }
    for (uint s = 0; s < steps; s++) {
        [[unroll]] for (uint c = 0; c < CHAINS; c++) {
            sum[c] = fma(sum[c], vec4(factor), vec4(1.0));
        }
    }
    vec4 all = vec4(0.0);
    [[unroll]] for (uint c = 0; c < CHAINS; c++) {
        all += sum[c];
    }
    y[thread_index()] = all.x + all.y + all.z + all.w;
}
