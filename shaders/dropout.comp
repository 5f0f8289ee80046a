#version 450
#extension GL_GOOGLE_include_directive : require
// Zeroes units and scales the others, in the forward and the backward op: the mask
// depends only on (seed, step, sample, layer). Four units of a sample per thread,
// one for each word of a Philox block; Y may be X.
#include "common.glsl"
#include "philox.glsl"
#include "relu.glsl"
#include "state.glsl"

layout(constant_id = 1) const bool WITH_RELU = false; // replace X by max(X, 0)

layout(push_constant) uniform Push { uint samples, units, threshold, layer; float scale; };
layout(binding = 0) readonly buffer X { float x[]; };        // (samples, units)
layout(binding = 1) readonly buffer State { uint state[]; }; // kernels.State
layout(binding = 2) writeonly buffer Y { float y[]; };       // (samples, units)

void main() {
    uint quads = (units + 3) / 4;
    uint i = thread_index();
    if (i >= samples * quads) {
        return;
    }
    uint s = i / quads, q = i % quads;
    uvec4 words = philox4x32(uvec4(q, s, state[STATE_STEP], PURPOSE_DROPOUT + layer),
                             uvec2(state[STATE_SEED_LOW], state[STATE_SEED_HIGH]));
    for (uint j = 0; j < min(4, units - 4 * q); j++) {
        uint e = s * units + 4 * q + j;
        float v = WITH_RELU ? relu(x[e]) : x[e];
        y[e] = words[j] < threshold ? 0.0 : v * scale;
    }
}
