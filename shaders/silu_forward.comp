#version 450
#extension GL_GOOGLE_include_directive : require
// Y = X·σ(X). One element per thread; Y may be X.
#include "silu.glsl"

layout(push_constant) uniform Push { uint len; };
layout(binding = 0) readonly buffer X { float x[]; };
layout(binding = 1) writeonly buffer Y { float y[]; };

void main() {
    uint i = thread_index();
    if (i < len) {
        float rest;
        y[i] = x[i] * sigmoid(x[i], rest);
    }
}
