#version 450
#extension GL_GOOGLE_include_directive : require
// The Nesterov momentum of Muon, four elements per thread:
//   m += (1−μ)·(grad − m)
//   grad += μ·(m − grad)
#include "common.glsl"

layout(push_constant) uniform Push { uint len; float momentum, one_minus_momentum; };
layout(binding = 0) buffer Grad { vec4 grad[]; };
layout(binding = 1) buffer M { vec4 m[]; };

void main() {
    uint i = thread_index();
    if (4 * i >= len) {
        return;
    }
    vec4 g = grad[i], velocity = m[i];
    velocity += one_minus_momentum * (g - velocity);
    g += momentum * (velocity - g);
    if (4 * i + 4 <= len) {
        grad[i] = g;
        m[i] = velocity;
        return;
    }
    for (uint j = 0; j < len % 4; j++) {
        grad[i][j] = g[j];
        m[i][j] = velocity[j];
    }
}
