#version 450
#extension GL_GOOGLE_include_directive : require
// DX = DY·scale where Y > 0, else 0; scale is 1, or that of a dropout after the ReLU.
// Four elements per thread; DX may be DY.
#include "common.glsl"

layout(push_constant) uniform Push { uint len; float scale; };
layout(binding = 0) readonly buffer Y { vec4 y[]; };
layout(binding = 1) readonly buffer DY { vec4 dy[]; };
layout(binding = 2) writeonly buffer DX { vec4 dx[]; };

void main() {
    uint i = thread_index();
    if (i < len / 4) {
        dx[i] = mix(vec4(0.0), dy[i] * scale, greaterThan(y[i], vec4(0.0)));
    } else if (i == len / 4) {
        for (uint j = 0; j < len % 4; j++) {
            dx[i][j] = y[i][j] > 0.0 ? dy[i][j] * scale : 0.0;
        }
    }
}
