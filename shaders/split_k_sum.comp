#version 450
#extension GL_GOOGLE_include_directive : require
// Second pass of a product with splits of K: adds up the partial sums, then Bias
// and the old contents of C. The partial sums are a matrix of splits rows.
#include "column_tile.glsl"

layout(constant_id = 2) const bool WITH_BIAS = false;
layout(constant_id = 3) const bool ACCUMULATE = false;

layout(push_constant) uniform Push { uint splits, len, n; };        // len: M·N
layout(binding = 0) readonly buffer Partials { float partials[]; }; // (splits, M, N)
layout(binding = 1) readonly buffer Bias { float bias[]; };         // (N)
layout(binding = 2) buffer C { float c[]; };                        // (M, N)

void main() {
    Lane lane = lane_of(splits, len, splits);
    float sum = 0.0;
    if (lane.live) {
        for (uint s = lane.row; s < splits; s += DEPTH) {
            sum += partials[s * len + lane.col];
        }
    }
    sum = sum_depth(sum);
    if (!lane.live || !is_top()) {
        return;
    }
    if (WITH_BIAS) {
        sum += bias[lane.col % n];
    }
    c[lane.col] = ACCUMULATE ? c[lane.col] + sum : sum;
}
