#version 450
#extension GL_GOOGLE_include_directive : require
// A = Gram/Norm², Norm = max(√trace(Gram), eps). Four elements per thread; every
// workgroup adds up the trace, as a tree.
#include "common.glsl"

layout(push_constant) uniform Push { uint extent; float eps; };
layout(binding = 0) readonly buffer Gram { float gram[]; };  // (extent, extent)
layout(binding = 1) writeonly buffer A { float a[]; };       // (extent, extent)
layout(binding = 2) writeonly buffer Norm { float norm[]; }; // (1)

shared float sums[THREADS];

float trace() {
    uint t = gl_LocalInvocationID.x;
    float sum = 0.0;
    for (uint i = t; i < extent; i += THREADS) {
        sum += gram[i * extent + i];
    }
    sums[t] = sum;
    barrier();
    for (uint rest = THREADS / 2; rest > 0; rest /= 2) {
        if (t < rest) {
            sums[t] += sums[t + rest];
        }
        barrier();
    }
    return sums[0];
}

void main() {
    float square = trace();
    if (thread_index() == 0) {
        norm[0] = max(sqrt(square), eps);
    }
    square = max(square, eps * eps);
    uint end = min(extent * extent, 4 * THREADS * (group_index() + 1));
    for (uint i = 4 * THREADS * group_index() + gl_LocalInvocationID.x; i < end; i += THREADS) {
        a[i] = gram[i] / square;
    }
}
