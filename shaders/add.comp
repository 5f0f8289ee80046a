#version 450
#extension GL_GOOGLE_include_directive : require
// Y = A + B, or max(A + B, 0). Four elements per thread; Y may be A or B.
#include "relu.glsl"

layout(constant_id = 1) const bool WITH_RELU = false;

layout(push_constant) uniform Push { uint len; };
layout(binding = 0) readonly buffer A { vec4 a[]; };
layout(binding = 1) readonly buffer B { vec4 b[]; };
layout(binding = 2) writeonly buffer Y { vec4 y[]; };

void main() {
    uint i = thread_index();
    if (i < len / 4) {
        vec4 sum = a[i] + b[i];
        y[i] = WITH_RELU ? relu(sum) : sum;
    } else if (i == len / 4) {
        for (uint j = 0; j < len % 4; j++) {
            float sum = a[i][j] + b[i][j];
            y[i][j] = WITH_RELU ? relu(sum) : sum;
        }
    }
}
