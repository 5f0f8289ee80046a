#version 450
#extension GL_GOOGLE_include_directive : require
// Y = mean of each KH×KW window of X. Four channels of a window per thread.
#include "common.glsl"

layout(constant_id = 1) const uint H = 1;
layout(constant_id = 2) const uint W = 1;
layout(constant_id = 3) const uint C = 1;
layout(constant_id = 4) const uint KH = 1;
layout(constant_id = 5) const uint KW = 1;
layout(constant_id = 6) const uint STRIDE = 1;
const uint OH = (H - KH) / STRIDE + 1;
const uint OW = (W - KW) / STRIDE + 1;

layout(push_constant) uniform Push { uint windows; };  // N·OH·OW
layout(binding = 0) readonly buffer X { vec4 x[]; };   // (N, H, W, C)
layout(binding = 1) writeonly buffer Y { vec4 y[]; };  // (N, OH, OW, C)

#include "channel_quad.glsl"
LOAD_QUAD(x_quad, vec4, x)
STORE_QUAD(store_y, vec4, y)

void main() {
    uint window = thread_index() / QUADS, q = thread_index() % QUADS;
    if (window >= windows) {
        return;
    }
    uint ow = window % OW, oh = window / OW % OH, n = window / (OW * OH);
    uint corner = (n * H + oh * STRIDE) * W + ow * STRIDE;
    vec4 sum = vec4(0.0);
    for (uint i = 0; i < KH; i++) {
        for (uint j = 0; j < KW; j++) {
            sum += x_quad(corner + i * W + j, q);
        }
    }
    store_y(window, q, sum * (1.0 / float(KH * KW)));
}
