#version 450
#extension GL_GOOGLE_include_directive : require
// DX = DY·σ(X)·(1 + X·(1 − σ(X))). One element per thread; DX may be DY.
#include "silu.glsl"

layout(push_constant) uniform Push { uint len; };
layout(binding = 0) readonly buffer X { float x[]; };
layout(binding = 1) readonly buffer DY { float dy[]; };
layout(binding = 2) writeonly buffer DX { float dx[]; };

void main() {
    uint i = thread_index();
    if (i < len) {
        float rest;
        float s = sigmoid(x[i], rest);
        dx[i] = dy[i] * s * (1.0 + x[i] * rest);
    }
}
