#version 450
#extension GL_GOOGLE_include_directive : require
// Y = maximum of each SIZE×SIZE window of X, one output element a thread. The
// first maximum wins; a NaN wins over numbers.
#include "common.glsl"

layout(constant_id = 1) const uint H = 1;
layout(constant_id = 2) const uint W = 1;
layout(constant_id = 3) const uint C = 1;
layout(constant_id = 4) const uint SIZE = 1;
layout(constant_id = 5) const uint STRIDE = 1;
layout(constant_id = 6) const uint WITH_INDEX = 1; // write Index
const uint OH = (H - SIZE) / STRIDE + 1;
const uint OW = (W - SIZE) / STRIDE + 1;

layout(push_constant) uniform Push { uint len; };             // of Y
layout(binding = 0) readonly buffer X { float x[]; };         // (N, H, W, C)
layout(binding = 1) writeonly buffer Y { float y[]; };        // (N, OH, OW, C)
layout(binding = 2) writeonly buffer Index { uint index[]; }; // (N, OH, OW, C): kh·SIZE + kw

void main() {
    uint e = thread_index();
    if (e >= len) {
        return;
    }
    uint c = e % C, ow = e / C % OW, oh = e / (C * OW) % OH, n = e / (C * OW * OH);
    uint corner = ((n * H + oh * STRIDE) * W + ow * STRIDE) * C + c;
    float best = x[corner];
    uint best_at = 0;
    for (uint kh = 0; kh < SIZE; kh++) {
        for (uint kw = 0; kw < SIZE; kw++) {
            float v = x[corner + (kh * W + kw) * C];
            if (!is_nan(best) && (v > best || is_nan(v))) {
                best = v;
                best_at = kh * SIZE + kw;
            }
        }
    }
    y[e] = best;
    if (WITH_INDEX != 0) {
        index[e] = best_at;
    }
}
