#version 450
#extension GL_GOOGLE_include_directive : require
// First pass of BatchNormBackward: Σ DY and Σ DY·x̂ of each chunk of rows,
// with x̂ = (X − Mean)·InvStd. The chunks are added up by column_sum.
#include "column_tile.glsl"

layout(push_constant) uniform Push { uint rows, cols, chunk_rows; };
layout(binding = 0) readonly buffer X { float x[]; };            // (rows, cols)
layout(binding = 1) readonly buffer DY { float dy[]; };          // (rows, cols)
layout(binding = 2) readonly buffer Mean { float mean[]; };      // (cols)
layout(binding = 3) readonly buffer InvStd { float inv_std[]; }; // (cols)
layout(binding = 4) writeonly buffer DBeta { float dbeta[]; };   // (chunks, cols)
layout(binding = 5) writeonly buffer DGamma { float dgamma[]; }; // (chunks, cols)

void main() {
    Lane lane = lane_of(rows, cols, chunk_rows);
    float sum_dy = 0.0, sum_dy_xhat = 0.0;
    if (lane.live) {
        float m = mean[lane.col], s = inv_std[lane.col];
        for (uint r = lane.row; r < lane.row_end; r += DEPTH) {
            uint e = r * cols + lane.col;
            float d = dy[e];
            sum_dy += d;
            sum_dy_xhat += d * ((x[e] - m) * s);
        }
    }
    sum_dy = sum_depth(sum_dy);
    sum_dy_xhat = sum_depth(sum_dy_xhat);
    if (lane.live && is_top()) {
        dbeta[lane.chunk * cols + lane.col] = sum_dy;
        dgamma[lane.chunk * cols + lane.col] = sum_dy_xhat;
    }
}
