#version 450
#extension GL_GOOGLE_include_directive : require
// Second pass of BatchNormForward: combines the chunks' statistics (Chan,
// Golub & LeVeque 1983), saves mean and inverse deviation, and moves the
// running statistics. One workgroup a tile of columns.
#include "column_tile.glsl"

layout(push_constant) uniform Push {
    uint rows, cols, chunk_rows, chunks;
    float keep;     // 1 − momentum
    float momentum; //
    float eps;      //
    float unbias;   // rows / (rows − 1)
};
layout(binding = 0) readonly buffer Partials { float partials[]; }; // (chunks, 2, cols)
layout(binding = 1) buffer RunningMean { float running_mean[]; };   // (cols)
layout(binding = 2) buffer RunningVar { float running_var[]; };     // (cols)
layout(binding = 3) writeonly buffer Mean { float mean_out[]; };    // (cols)
layout(binding = 4) writeonly buffer InvStd { float inv_std[]; };   // (cols)

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
    float variance = sum_depth(square) / float(rows);
    if (lane.live && is_top()) {
        mean_out[lane.col] = mean;
        inv_std[lane.col] = 1.0 / sqrt(variance + eps);
        running_mean[lane.col] = keep * running_mean[lane.col] + momentum * mean;
        running_var[lane.col] = keep * running_var[lane.col] + momentum * (variance * unbias);
    }
}
