#version 450
#extension GL_GOOGLE_include_directive : require
// Y = patches(X)·Wᵀ + Bias: M = N·OH·OW pixels, N = O channels, K = KH·KW·I
// taps.
#include "common.glsl"

layout(constant_id = 14) const uint WITH_BIAS = 0;

const bool A_ALONG_K = true;
const bool B_ALONG_K = true;
#include "matrix_tile.glsl"
#include "matrix_store.glsl"

layout(push_constant) uniform Push { uint pixels, split_k; };
layout(binding = 0) readonly buffer X { vec4 x[]; };        // (N, H, W, I)
layout(binding = 1) readonly buffer Weight { vec4 w[]; };   // (O, KH·KW·I)
layout(binding = 2) readonly buffer Bias { float bias[]; }; // (O)
layout(binding = 3) buffer Y { vec4 y[]; };                 // (pixels, O) or (splits, pixels, O)

#include "conv_patch.glsl"
float bias_of(uint col) { return bias[col]; }
STORE_TILE(y)

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
    store_tile(g, pixels, O, WITH_BIAS != 0, false);
}
