#version 450
#extension GL_GOOGLE_include_directive : require
// DX[h, w] = sum of the gradients of the windows that cover (h, w), in a fixed
// order, over KH·KW. Four channels of a pixel of DX per thread.
#include "common.glsl"

layout(constant_id = 1) const uint H = 1;
layout(constant_id = 2) const uint W = 1;
layout(constant_id = 3) const uint C = 1;
layout(constant_id = 4) const uint KH = 1;
layout(constant_id = 5) const uint KW = 1;
layout(constant_id = 6) const uint STRIDE = 1;
const uint OH = (H - KH) / STRIDE + 1;
const uint OW = (W - KW) / STRIDE + 1;

layout(push_constant) uniform Push { uint pixels; };    // N·H·W
layout(binding = 0) readonly buffer DY { vec4 dy[]; };  // (N, OH, OW, C)
layout(binding = 1) writeonly buffer DX { vec4 dx[]; }; // (N, H, W, C)

#include "channel_quad.glsl"
LOAD_QUAD(dy_quad, vec4, dy)
STORE_QUAD(store_dx, vec4, dx)

// First window of the given size along an axis that covers position p. Where
// it is after the last one, no window covers p.
uint first_window(uint p, uint size) { return p < size ? 0 : (p - size) / STRIDE + 1; }

void main() {
    uint pixel = thread_index() / QUADS, q = thread_index() % QUADS;
    if (pixel >= pixels) {
        return;
    }
    uint w = pixel % W, h = pixel / W % H, n = pixel / (W * H);
    vec4 sum = vec4(0.0);
    for (uint oh = first_window(h, KH); oh <= min(h / STRIDE, OH - 1); oh++) {
        for (uint ow = first_window(w, KW); ow <= min(w / STRIDE, OW - 1); ow++) {
            sum += dy_quad((n * OH + oh) * OW + ow, q);
        }
    }
    store_dx(pixel, q, sum * (1.0 / float(KH * KW)));
}
