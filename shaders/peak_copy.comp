#version 450
#extension GL_GOOGLE_include_directive : require
// Copies memory, to measure bandwidth.
#include "common.glsl"

layout(push_constant) uniform Push { uint quads; };
layout(binding = 0) readonly buffer X { vec4 x[]; };
layout(binding = 1) writeonly buffer Y { vec4 y[]; };

void main() {
    uint i = thread_index();
    if (i < quads) {
        y[i] = x[i];
    }
}
