#version 450
#extension GL_GOOGLE_include_directive : require
// Y = (X − mean) · scale · Gamma + Beta by channel: last pass of
// BatchNormForward, where Spread is the inverse deviation, and all of
// BatchNormInference, where it is the running variance.
#include "common.glsl"

layout(constant_id = 1) const uint C = 4;           // channels
layout(constant_id = 2) const uint INFERENCE = 0;   // Spread is a variance

layout(push_constant) uniform Push { uint len; float eps; };
layout(binding = 0) readonly buffer X { vec4 x[]; };           // (rows, C)
layout(binding = 1) readonly buffer Mean { vec4 mean[]; };     // (C)
layout(binding = 2) readonly buffer Spread { vec4 spread[]; }; // (C)
layout(binding = 3) readonly buffer Gamma { vec4 gamma[]; };   // (C)
layout(binding = 4) readonly buffer Beta { vec4 beta[]; };     // (C)
layout(binding = 5) writeonly buffer Y { vec4 y[]; };          // (rows, C)

void main() {
    uint i = thread_index();
    if (C % 4 == 0) {
        if (i < len / 4) {
            uint c = i % (C / 4);
            vec4 inv_std = INFERENCE != 0 ? 1.0 / sqrt(spread[c] + eps) : spread[c];
            y[i] = (x[i] - mean[c]) * inv_std * gamma[c] + beta[c];
        }
        return;
    }
    for (uint e = 4 * i; e < min(4 * i + 4, len); e++) {
        uint c = e % C, v = c / 4, j = c % 4;
        float inv_std = INFERENCE != 0 ? 1.0 / sqrt(spread[v][j] + eps) : spread[v][j];
        y[e / 4][e % 4] = (x[e / 4][e % 4] - mean[v][j]) * inv_std * gamma[v][j] + beta[v][j];
    }
}
