#version 450
#extension GL_GOOGLE_include_directive : require
// Y = maximum of each SIZE×SIZE window of X, four channels per thread.
#include "max_window.glsl"

layout(constant_id = 1) const uint H = 1;
layout(constant_id = 2) const uint W = 1;
layout(constant_id = 3) const uint C = 1;
layout(constant_id = 4) const uint SIZE = 1;
layout(constant_id = 5) const uint STRIDE = 1;
layout(constant_id = 6) const bool WITH_INDEX = true; // write Index
const uint OH = (H - SIZE) / STRIDE + 1;
const uint OW = (W - SIZE) / STRIDE + 1;

layout(push_constant) uniform Push { uint windows; };          // N·OH·OW
layout(binding = 0) readonly buffer X { vec4 x[]; };           // (N, H, W, C)
layout(binding = 1) writeonly buffer Y { vec4 y[]; };          // (N, OH, OW, C)
layout(binding = 2) writeonly buffer Index { uvec4 index[]; }; // (N, OH, OW, C): kh·SIZE + kw

#include "channel_quad.glsl"
LOAD_QUAD(x_quad, vec4, x)
STORE_QUAD(store_y, vec4, y)
STORE_QUAD(store_index, uvec4, index)

void main() {
    uint window = thread_index() / QUADS, q = thread_index() % QUADS;
    if (window >= windows) {
        return;
    }
    uint ow = window % OW, oh = window / OW % OH, n = window / (OW * OH);
    uint corner = (n * H + oh * STRIDE) * W + ow * STRIDE;
    vec4 best = x_quad(corner, q);
    uvec4 best_at = uvec4(0);
    for (uint p = 1; p < SIZE * SIZE; p++) {
        take_max(x_quad(corner + p / SIZE * W + p % SIZE, q), p, best, best_at);
    }
    store_y(window, q, best);
    if (WITH_INDEX) {
        store_index(window, q, best_at);
    }
}
