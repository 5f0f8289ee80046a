#version 450
#extension GL_GOOGLE_include_directive : require
// Combines the statistics of chunks of rows into those of all rows (Chan,
// Golub & LeVeque 1983). The chunks come from batchnorm_statistics or from the
// tiles of conv_forward. One workgroup per tile of columns.
#include "column_tile.glsl"

layout(push_constant) uniform Push { uint rows, cols, chunk_rows, chunks; };
layout(binding = 0) readonly buffer Partials { float partials[]; }; // (chunks, 2, cols): mean, squared deviations
layout(binding = 1) writeonly buffer Mean { float mean_out[]; };    // (cols)
layout(binding = 2) writeonly buffer Var { float var_out[]; };      // (cols), biased

float rows_of(uint chunk) { return float(min(chunk_rows, rows - chunk * chunk_rows)); }

void main() {
    Lane lane = lane_of(chunks, cols, chunks);
    float origin = 0.0, sum = 0.0;
    if (lane.live) {
        origin = partials[lane.col];
        for (uint i = lane.row; i < chunks; i += DEPTH) {
            sum += rows_of(i) * (partials[2 * i * cols + lane.col] - origin);
        }
    }
    float mean = origin + sum_depth(sum) / float(rows);
    float square = 0.0;
    if (lane.live) {
        for (uint i = lane.row; i < chunks; i += DEPTH) {
            float d = partials[2 * i * cols + lane.col] - mean;
            square += partials[(2 * i + 1) * cols + lane.col] + rows_of(i) * d * d;
        }
    }
    square = sum_depth(square);
    if (lane.live && is_top()) {
        mean_out[lane.col] = mean;
        var_out[lane.col] = square / float(rows);
    }
}
