#version 450
#extension GL_GOOGLE_include_directive : require
// DX[h, w] = sum of the gradients of the windows whose maximum was at (h, w),
// one element of DX a thread, windows in a fixed order.
#include "common.glsl"

layout(constant_id = 1) const uint H = 1;
layout(constant_id = 2) const uint W = 1;
layout(constant_id = 3) const uint C = 1;
layout(constant_id = 4) const uint SIZE = 1;
layout(constant_id = 5) const uint STRIDE = 1;
const uint OH = (H - SIZE) / STRIDE + 1;
const uint OW = (W - SIZE) / STRIDE + 1;

layout(push_constant) uniform Push { uint len; };            // of DX
layout(binding = 0) readonly buffer DY { float dy[]; };      // (N, OH, OW, C)
layout(binding = 1) readonly buffer Index { uint index[]; }; // (N, OH, OW, C)
layout(binding = 2) writeonly buffer DX { float dx[]; };     // (N, H, W, C)

// First and last window along an axis that cover position p. Past the last
// window's end the range is empty or holds windows that end before p, which no
// index points from.
uint first_window(uint p) { return p < SIZE ? 0 : (p - SIZE) / STRIDE + 1; }

void main() {
    uint e = thread_index();
    if (e >= len) {
        return;
    }
    uint c = e % C, w = e / C % W, h = e / (C * W) % H, n = e / (C * W * H);
    float sum = 0.0;
    for (uint oh = first_window(h); oh <= min(h / STRIDE, OH - 1); oh++) {
        for (uint ow = first_window(w); ow <= min(w / STRIDE, OW - 1); ow++) {
            uint o = ((n * OH + oh) * OW + ow) * C + c;
            if (index[o] == (h - oh * STRIDE) * SIZE + (w - ow * STRIDE)) {
                sum += dy[o];
            }
        }
    }
    dx[e] = sum;
}
