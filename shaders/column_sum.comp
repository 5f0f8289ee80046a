#version 450
#extension GL_GOOGLE_include_directive : require
// Y[chunk, c] = Σ_r X[r, c] over the rows of each chunk. Many rows take two
// dispatches: the second adds up the partial sums.
#include "column_tile.glsl"

layout(push_constant) uniform Push { uint rows, cols, chunk_rows; };
layout(binding = 0) readonly buffer X { float x[]; };  // (rows, cols)
layout(binding = 1) writeonly buffer Y { float y[]; }; // (chunks, cols)

void main() {
    Lane lane = lane_of(rows, cols, chunk_rows);
    float sum = 0.0;
    if (lane.live) {
        for (uint r = lane.row; r < lane.row_end; r += DEPTH) {
            sum += x[r * cols + lane.col];
        }
    }
    sum = sum_depth(sum);
    if (lane.live && is_top()) {
        y[lane.chunk * cols + lane.col] = sum;
    }
}
