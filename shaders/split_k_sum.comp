#version 450
#extension GL_GOOGLE_include_directive : require
// Second pass of a product whose K was split: adds up the partial sums in the
// order of k, then Bias and what C held. One element a thread.
#include "common.glsl"

layout(constant_id = 1) const uint WITH_BIAS = 0;
layout(constant_id = 2) const uint ACCUMULATE = 0;

layout(push_constant) uniform Push { uint len, n, splits; };         // len: M·N
layout(binding = 0) readonly buffer Partials { float partials[]; }; // (splits, M, N)
layout(binding = 1) readonly buffer Bias { float bias[]; };         // (N)
layout(binding = 2) buffer C { float c[]; };                        // (M, N)

void main() {
    uint e = thread_index();
    if (e >= len) {
        return;
    }
    float sum = 0.0;
    for (uint s = 0; s < splits; s++) {
        sum += partials[s * len + e];
    }
    if (WITH_BIAS != 0) {
        sum += bias[e % n];
    }
    c[e] = ACCUMULATE != 0 ? c[e] + sum : sum;
}
