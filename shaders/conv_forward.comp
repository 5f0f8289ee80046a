#version 450
#extension GL_GOOGLE_include_directive : require
// Y = patches(X)·Wᵀ + Bias: M = N·OH·OW pixels, N = O channels, K = KH·KW·I
// taps. On request it also computes the statistics of each row tile; the last
// workgroup of a column of tiles combines them, or else batchnorm_combine does.
#include "common.glsl"

layout(constant_id = 16) const bool WITH_STATISTICS = false;
layout(constant_id = 17) const bool COMBINE = false; // the last workgroup combines them

const bool A_ALONG_K = true;
const bool B_ALONG_K = true;
#include "matrix_tile.glsl"
#include "matrix_store.glsl"
#include "matrix_statistics.glsl"

layout(push_constant) uniform Push { uint pixels, split_k, with_bias; };
layout(binding = 0) readonly buffer X { vec4 x[]; };        // (N, H, W, I)
layout(binding = 1) readonly buffer Weight { vec4 w[]; };   // (O, KH·KW·I)
layout(binding = 2) readonly buffer Bias { float bias[]; }; // (O)
layout(binding = 3) buffer Y { vec4 y[]; };                 // (pixels, O) or (splits, pixels, O)
layout(binding = 4) coherent buffer Parts { vec4 parts[]; };             // (splits, pixels, O)
layout(binding = 5) coherent buffer Counters { uint counters[]; };       // (nodes, tiles), then (nodes, columns of tiles)
layout(binding = 6) coherent buffer Partials { float partials[]; };      // (tiles of rows, 2, O)
layout(binding = 7) writeonly buffer Mean { float mean_of[]; };          // (O)
layout(binding = 8) writeonly buffer Variance { float variance_of[]; };  // (O), biased

#include "conv_patch.glsl"
ADD_BIAS(bias)
STORE_TILE(store_tile, y)
WHOLE_TILE(parts, counters)
NOTHING_BESIDE
STORE_STATISTICS(partials)
COMBINE_STATISTICS(partials, mean_of, variance_of)

mat4 load_a(uint pixel, uint tap) { return transpose(patch_block(pixels, pixel, tap)); }

mat4 load_b(uint tap, uint o) {
    mat4 block = mat4(0.0);
    [[unroll]] for (uint i = 0; i < 4; i++) {
        uint at = (o + i) * TAPS + tap;
        if (TAPS % 4 == 0) {
            if (o + i < O && tap < TAPS) {
                block[i] = w[at / 4];
            }
            continue;
        }
        [[unroll]] for (uint j = 0; j < 4; j++) {
            if (o + i < O && tap + j < TAPS) {
                block[i][j] = w[(at + j) / 4][(at + j) % 4];
            }
        }
    }
    return transpose(block);
}

void main() {
    Group g = group_of(O);
    if (g.m0 >= pixels) {
        return;
    }
    multiply_tile(g.m0, g.n0, g.split * split_k, min(TAPS, (g.split + 1) * split_k));
    if (!whole_tile(g, pixels, O)) {
        return;
    }
    if (with_bias != 0) {
        add_bias(g, O);
    }
    store_tile(g, SUM_SPLITS ? 0 : g.split, pixels, O, false);
    if (COMBINE) {
        take_statistics(g, free_counter(pixels, O), pixels, O);
    } else if (WITH_STATISTICS) {
        store_statistics(g, pixels, O);
    }
}
