#version 450
#extension GL_GOOGLE_include_directive : require
// DX as a matrix product that gathers, for each input pixel, the gradients of the
// outputs it contributed to: M = N·H·W input pixels, N = I channels, K = KH·KW·O. On
// request it also computes the sums for the gradient of the batch-norm before it.
#include "common.glsl"

const bool A_ALONG_K = true;
const bool B_ALONG_K = false;
#include "matrix_tile.glsl"
#include "matrix_store.glsl"
#include "conv_shape.glsl"
#define BN_CONSTANT 16
#define BN_BINDING 5
#include "matrix_gradient_sums.glsl"

layout(push_constant) uniform Push { uint pixels, split_k; };
layout(binding = 0) readonly buffer DY { vec4 dy[]; };    // (N, OH, OW, O)
layout(binding = 1) readonly buffer Weight { vec4 w[]; }; // (O, KH, KW, I)
layout(binding = 2) buffer DX { vec4 dx[]; };             // (pixels, I) or (splits, pixels, I)
layout(binding = 3) coherent buffer Parts { vec4 parts[]; };       // (splits, pixels, I)
layout(binding = 4) coherent buffer Counters { uint counters[]; }; // (nodes, tiles)

const uint K = KH * KW * O;
STORE_TILE(store_tile, dx)
WHOLE_TILE(parts, counters)
NOTHING_BESIDE
TAKE_GRADIENT_SUMS

// Returns the offset in DY of the pixel that input pixel (n, h, w) contributed to
// through tap k / O, or ~0 if there is none.
uint source_of(uint n, uint h, uint w, uint k) {
    uint y = h + PAD - k / (KW * O); // oh·STRIDE; wraps around above the image
    uint x = w + PAD - k / O % KW;
    if (k >= K || y % STRIDE != 0 || y / STRIDE >= OH || x % STRIDE != 0 || x / STRIDE >= OW) {
        return ~0u;
    }
    return ((n * OH + y / STRIDE) * OW + x / STRIDE) * O;
}

vec4 gradient_quad(uint n, uint h, uint w, uint k) {
    vec4 quad = vec4(0.0);
    if (O % 4 == 0) {
        uint source = source_of(n, h, w, k);
        return source == ~0u ? quad : dy[(source + k % O) / 4];
    }
    [[unroll]] for (uint j = 0; j < 4; j++) {
        uint source = source_of(n, h, w, k + j);
        if (source != ~0u) {
            uint at = source + (k + j) % O;
            quad[j] = dy[at / 4][at % 4];
        }
    }
    return quad;
}

mat4 load_a(uint pixel, uint k) {
    uint w = pixel % W, h = pixel / W % H, n = pixel / (W * H);
    mat4 block = mat4(0.0);
    [[unroll]] for (uint i = 0; i < 4; i++) {
        if (pixel + i < pixels) {
            block[i] = gradient_quad(n, h, w, k);
        }
        w++;
        if (w == W) {
            w = 0;
            h++;
        }
        if (h == H) {
            h = 0;
            n++;
        }
    }
    return transpose(block);
}

mat4 load_b(uint k, uint i) {
    mat4 block = mat4(0.0);
    [[unroll]] for (uint r = 0; r < 4; r++) {
        uint at = (((k + r) % O) * (KH * KW) + (k + r) / O) * I + i;
        if (I % 4 == 0) {
            if (k + r < K && i < I) {
                block[r] = w[at / 4];
            }
            continue;
        }
        [[unroll]] for (uint j = 0; j < 4; j++) {
            if (k + r < K && i + j < I) {
                block[r][j] = w[(at + j) / 4][(at + j) % 4];
            }
        }
    }
    return block;
}

void main() {
    Group g = group_of(I);
    if (g.m0 >= pixels) {
        return;
    }
    multiply_tile(g.m0, g.n0, g.split * split_k, min(K, (g.split + 1) * split_k));
    if (!whole_tile(g, pixels, I)) {
        return;
    }
    store_tile(g, SUM_SPLITS ? 0 : g.split, pixels, I, false);
    if (GRADIENT_SUMS) {
        take_gradient_sums(g, free_counter(pixels, I), pixels, I);
    }
}
