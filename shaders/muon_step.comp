#version 450
#extension GL_GOOGLE_include_directive : require
// The last part of a step of Muon, four parameters per thread:
//   param = (1 − lr·weight_decay)·param − lr·scale/norm · direction
#include "common.glsl"
#include "state.glsl"

layout(push_constant) uniform Push { uint len; float scale, weight_decay; };
layout(binding = 0) buffer Param { vec4 param[]; };
layout(binding = 1) readonly buffer Direction { vec4 direction[]; };
layout(binding = 2) readonly buffer Norm { float norm[]; }; // (1)
layout(binding = 3) readonly buffer State { uint state[]; };
layout(binding = 4) readonly buffer LearningRates { float rates[]; };

void main() {
    uint i = thread_index();
    if (4 * i >= len) {
        return;
    }
    float rate = rates[state[STATE_SLOT]];
    vec4 p = (1.0 - rate * weight_decay) * param[i] - rate * scale / norm[0] * direction[i];
    if (4 * i + 4 <= len) {
        param[i] = p;
        return;
    }
    for (uint j = 0; j < len % 4; j++) {
        param[i][j] = p[j];
    }
}
