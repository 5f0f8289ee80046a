#version 450
#extension GL_GOOGLE_include_directive : require
// First pass of BatchNormForward: mean and sum of squared deviations of each
// chunk of rows. A chunk is read twice (the second time from cache), to square
// deviations from the chunk's mean. Sums are relative to the chunk's first row,
// so that a large common offset causes no rounding errors.
#include "column_tile.glsl"

layout(push_constant) uniform Push { uint rows, cols, chunk_rows; };
layout(binding = 0) readonly buffer X { float x[]; };               // (rows, cols)
layout(binding = 1) writeonly buffer Partials { float partials[]; }; // (chunks, 2, cols): mean, squared deviations

void main() {
    Lane lane = lane_of(rows, cols, chunk_rows);
    uint first = lane.chunk * chunk_rows;
    float n = float(lane.row_end - first);
    float origin = 0.0, sum = 0.0;
    if (lane.live) {
        origin = x[first * cols + lane.col];
        for (uint r = lane.row; r < lane.row_end; r += DEPTH) {
            sum += x[r * cols + lane.col] - origin;
        }
    }
    float mean = origin + sum_depth(sum) / n;
    float deviation = 0.0, square = 0.0;
    if (lane.live) {
        for (uint r = lane.row; r < lane.row_end; r += DEPTH) {
            float d = x[r * cols + lane.col] - mean;
            deviation += d;
            square += d * d;
        }
    }
    // The mean is rounded; the sum of the deviations corrects it and the squares.
    deviation = sum_depth(deviation);
    square = sum_depth(square) - deviation * deviation / n;
    if (lane.live && is_top()) {
        partials[(2 * lane.chunk) * cols + lane.col] = mean + deviation / n;
        partials[(2 * lane.chunk + 1) * cols + lane.col] = max(square, 0.0);
    }
}
