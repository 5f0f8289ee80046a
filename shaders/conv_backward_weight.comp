#version 450
#extension GL_GOOGLE_include_directive : require
// DW = DYᵀ·patches(X), and DBias, the sums of DYᵀ's rows: M = O channels,
// N = KH·KW·I taps, K = N·OH·OW pixels. K is long and the result small, so the host
// splits K.
#include "common.glsl"

const bool A_ALONG_K = false;
const bool B_ALONG_K = false;
#include "matrix_tile.glsl"
#include "matrix_store.glsl"
#include "matrix_row_sums.glsl"

layout(push_constant) uniform Push { uint pixels, split_k; };
layout(binding = 0) readonly buffer X { vec4 x[]; };   // (N, H, W, I)
layout(binding = 1) readonly buffer DY { vec4 dy[]; }; // (pixels, O)
layout(binding = 2) buffer DW { vec4 dw[]; };          // (O, KH·KW·I) or (splits, O, KH·KW·I)
layout(binding = 3) coherent buffer Parts { vec4 parts[]; };            // (splits, O, KH·KW·I)
layout(binding = 4) coherent buffer Counters { uint counters[]; };      // (nodes, tiles)
layout(binding = 5) coherent buffer RowParts { float row_parts_of[]; }; // (splits, O)
layout(binding = 6) writeonly buffer DBias { float dbias[]; };          // (O)

#include "conv_patch.glsl"
STORE_TILE(store_tile, dw)
WHOLE_TILE(parts, counters)
ROWS_BESIDE(row_parts_of)
STORE_ROWS(store_row_sums, dbias)

mat4 load_a(uint o, uint pixel) {
    mat4 block = mat4(0.0);
    [[unroll]] for (uint i = 0; i < 4; i++) {
        uint at = (pixel + i) * O + o;
        if (O % 4 == 0) {
            if (pixel + i < pixels && o < O) {
                block[i] = dy[at / 4];
            }
            continue;
        }
        [[unroll]] for (uint j = 0; j < 4; j++) {
            if (pixel + i < pixels && o + j < O) {
                block[i][j] = dy[(at + j) / 4][(at + j) % 4];
            }
        }
    }
    return block;
}

mat4 load_b(uint pixel, uint tap) { return patch_block(pixels, pixel, tap); }

void main() {
    Group g = group_of(TAPS);
    if (g.m0 >= O) {
        return;
    }
    multiply_tile(g.m0, g.n0, g.split * split_k, min(pixels, (g.split + 1) * split_k));
    take_row_sums(g);
    if (!whole_tile(g, O, TAPS)) {
        return;
    }
    uint part = SUM_SPLITS ? 0 : g.split;
    store_row_sums(g, part, O);
    store_tile(g, part, O, TAPS, false);
}
