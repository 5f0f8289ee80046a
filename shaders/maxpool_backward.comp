#version 450
#extension GL_GOOGLE_include_directive : require
// DX[h, w] = sum, in a fixed order, of the gradients of the windows whose maximum
// was at (h, w). Four channels of a pixel of DX per thread.
#include "common.glsl"

layout(constant_id = 1) const uint H = 1;
layout(constant_id = 2) const uint W = 1;
layout(constant_id = 3) const uint C = 1;
layout(constant_id = 4) const uint SIZE = 1;
layout(constant_id = 5) const uint STRIDE = 1;
const uint OH = (H - SIZE) / STRIDE + 1;
const uint OW = (W - SIZE) / STRIDE + 1;

layout(push_constant) uniform Push { uint pixels; };          // N·H·W
layout(binding = 0) readonly buffer DY { vec4 dy[]; };        // (N, OH, OW, C)
layout(binding = 1) readonly buffer Index { uvec4 index[]; }; // (N, OH, OW, C)
layout(binding = 2) writeonly buffer DX { vec4 dx[]; };       // (N, H, W, C)

#include "channel_quad.glsl"
LOAD_QUAD(dy_quad, vec4, dy)
LOAD_QUAD(index_quad, uvec4, index)
STORE_QUAD(store_dx, vec4, dx)

// Returns the first window along an axis that covers position p. It comes after
// the last such window if p lies in a gap between windows.
uint first_window(uint p) { return p < SIZE ? 0 : (p - SIZE) / STRIDE + 1; }

void main() {
    uint pixel = thread_index() / QUADS, q = thread_index() % QUADS;
    if (pixel >= pixels) {
        return;
    }
    uint w = pixel % W, h = pixel / W % H, n = pixel / (W * H);
    vec4 sum = vec4(0.0);
    for (uint oh = first_window(h); oh <= min(h / STRIDE, OH - 1); oh++) {
        for (uint ow = first_window(w); ow <= min(w / STRIDE, OW - 1); ow++) {
            uint window = (n * OH + oh) * OW + ow;
            uint position = (h - oh * STRIDE) * SIZE + (w - ow * STRIDE);
            sum += mix(vec4(0.0), dy_quad(window, q), equal(index_quad(window, q), uvec4(position)));
        }
    }
    store_dx(pixel, q, sum);
}
