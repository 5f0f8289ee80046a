#version 450
#extension GL_GOOGLE_include_directive : require
// One step of an exponential moving average, four elements per thread:
//   average += max(1 − decay, 9/(10 + step)) · (param − average)
#include "common.glsl"
#include "state.glsl"

layout(push_constant) uniform Push { uint len; float least_rate; };
layout(binding = 0) readonly buffer Param { vec4 param[]; };
layout(binding = 1) buffer Average { vec4 average[]; };
layout(binding = 2) readonly buffer State { uint state[]; };

void main() {
    uint i = thread_index();
    if (4 * i >= len) {
        return;
    }
    float rate = max(least_rate, 9.0 / (10.0 + float(state[STATE_STEP])));
    vec4 a = average[i];
    a += rate * (param[i] - a);
    if (4 * i + 4 <= len) {
        average[i] = a;
        return;
    }
    for (uint j = 0; j < len % 4; j++) {
        average[i][j] = a[j];
    }
}
