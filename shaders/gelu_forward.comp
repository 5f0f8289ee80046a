#version 450
#extension GL_GOOGLE_include_directive : require
// Y = X·Φ(X). One element per thread; Y may be X.
#include "gelu.glsl"

layout(push_constant) uniform Push { uint len; };
layout(binding = 0) readonly buffer X { float x[]; };
layout(binding = 1) writeonly buffer Y { float y[]; };

void main() {
    uint i = thread_index();
    if (i < len) {
        float e;
        y[i] = x[i] * normal_cdf(x[i], e);
    }
}
