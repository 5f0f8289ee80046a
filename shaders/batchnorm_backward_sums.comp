#version 450
#extension GL_GOOGLE_include_directive : require
// First pass of batch-norm's gradient: Σ G and Σ G·x̂ of each chunk of rows,
// with x̂ = (X − Mean)·InvStd and G the gradient before ReLU and pooling. G is 0
// except at the maxima of the windows, so the rows are those of DY. The last
// workgroup of a tile of columns adds up the chunks, or else column_sum does.
#include "column_tile.glsl"
#include "last_group.glsl"

layout(constant_id = 2) const uint H = 1;
layout(constant_id = 3) const uint W = 1;
layout(constant_id = 4) const uint SIZE = 1;
layout(constant_id = 5) const bool WITH_RELU = false;
layout(constant_id = 6) const bool SUM_CHUNKS = false; // the last workgroup adds up the chunks

layout(push_constant) uniform Push {
    uint rows, cols, chunk_rows, chunks; // rows: N·OH·OW
    uint mean_at, inv_std_at, dbeta_at, dgamma_at;
    uint parts_beta_at, parts_gamma_at, counters_at;
};
layout(binding = 0) readonly buffer X { float x[]; };            // (N, H, W, cols)
layout(binding = 1) readonly buffer Y { float y[]; };            // (rows, cols)
layout(binding = 2) readonly buffer DY { float dy[]; };          // (rows, cols)
layout(binding = 3) readonly buffer Index { uint index[]; };     // (rows, cols)
layout(binding = 4) readonly buffer Mean { float mean[]; };      // (cols)
layout(binding = 4) readonly buffer InvStd { float inv_std[]; }; // (cols)
layout(binding = 4) writeonly buffer DBeta { float dbeta[]; };           // (cols)
layout(binding = 4) writeonly buffer DGamma { float dgamma[]; };         // (cols)
layout(binding = 5) coherent buffer PartsBeta { float parts_beta[]; };   // (chunks, cols)
layout(binding = 5) coherent buffer PartsGamma { float parts_gamma[]; }; // (chunks, cols)
layout(binding = 5) coherent buffer Counters { uint counters[]; };       // (tiles of columns)

#include "batchnorm_window.glsl"

LAST_GROUP(counters, counters_at)

void main() {
    Lane lane = lane_of(rows, cols, chunk_rows);
    if (lane.chunk >= chunks) {
        return;
    }
    float sum_g = 0.0, sum_g_xhat = 0.0;
    if (lane.live) {
        float m = mean[mean_at + lane.col], s = inv_std[inv_std_at + lane.col];
        for (uint r = lane.row; r < lane.row_end; r += DEPTH) {
            uint e = r * cols + lane.col;
            uint source = SIZE == 1 ? e : pixel_of(r, index[e]) * cols + lane.col;
            float g = !WITH_RELU || y[e] > 0.0 ? dy[e] : 0.0;
            sum_g += g;
            sum_g_xhat += g * ((x[source] - m) * s);
        }
    }
    sum_g = sum_depth(sum_g);
    sum_g_xhat = sum_depth(sum_g_xhat);
    if (lane.live && is_top()) {
        parts_beta[parts_beta_at + lane.chunk * cols + lane.col] = sum_g;
        parts_gamma[parts_gamma_at + lane.chunk * cols + lane.col] = sum_g_xhat;
    }
    if (!SUM_CHUNKS || !is_last_group(lane.col / COLUMNS, chunks)) {
        return;
    }
    sum_g = sum_g_xhat = 0.0;
    for (uint i = gl_LocalInvocationID.x / COLUMNS; i < chunks && lane.live; i += DEPTH) {
        sum_g += parts_beta[parts_beta_at + i * cols + lane.col];
        sum_g_xhat += parts_gamma[parts_gamma_at + i * cols + lane.col];
    }
    sum_g = sum_depth(sum_g);
    sum_g_xhat = sum_depth(sum_g_xhat);
    if (lane.live && is_top()) {
        dbeta[dbeta_at + lane.col] = sum_g;
        dgamma[dgamma_at + lane.col] = sum_g_xhat;
    }
}
