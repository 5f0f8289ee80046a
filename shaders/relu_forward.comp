#version 450
#extension GL_GOOGLE_include_directive : require
// Y = max(X, 0), where NaN stays NaN. Four elements a thread; Y may be X.
#include "common.glsl"

layout(push_constant) uniform Push { uint len; };
layout(binding = 0) readonly buffer X { vec4 x[]; };
layout(binding = 1) writeonly buffer Y { vec4 y[]; };

float relu(float v) { return v > 0.0 || is_nan(v) ? v : 0.0; }

void main() {
    uint i = thread_index();
    if (i < len / 4) {
        vec4 v = x[i];
        y[i] = vec4(relu(v.x), relu(v.y), relu(v.z), relu(v.w));
    } else if (i == len / 4) {
        for (uint j = 0; j < len % 4; j++) {
            y[i][j] = relu(x[i][j]);
        }
    }
}
