#version 450
#extension GL_GOOGLE_include_directive : require
// Y = max(X, 0), where NaN stays NaN. Four elements per thread; Y may be X.
#include "relu.glsl"

layout(push_constant) uniform Push { uint len; };
layout(binding = 0) readonly buffer X { vec4 x[]; };
layout(binding = 1) writeonly buffer Y { vec4 y[]; };

void main() {
    uint i = thread_index();
    if (i < len / 4) {
        y[i] = relu(x[i]);
    } else if (i == len / 4) {
        for (uint j = 0; j < len % 4; j++) {
            y[i][j] = relu(x[i][j]);
        }
    }
}
