#version 450
#extension GL_GOOGLE_include_directive : require
// DX as a matrix product that gathers, for each input pixel, the gradients of the
// outputs it contributed to: M = N·H·W input pixels, N = I channels, K = KH·KW·O. On
// request it also computes the sums for the gradient of the batch-norm before it.
#include "common.glsl"

const bool A_ALONG_K = true;
const bool B_ALONG_K = false;
#include "conv_shape.glsl"
#define MASK_A (O % 4 == 0)
#define MASK_B (!WHOLE_K)
#define MIXED_CONSTANT 23
#include "matrix_tile.glsl"
#include "matrix_store.glsl"

layout(push_constant) uniform Push {
    uint pixels, split_k;
    uint norm_mean_at, norm_inv_std_at, dbeta_at, dgamma_at;
    uint parts_at, counters_at, norm_parts_at;
};
layout(binding = 0) readonly buffer DY { vec4 dy[]; };    // (N, OH, OW, O)
layout(binding = 1) readonly buffer Weight { vec4 w[]; }; // (O, KH, KW, I)
layout(binding = 2) buffer DX { vec4 dx[]; };             // (pixels, I) or (splits, pixels, I)
#define SMALL 6
#define SCRATCH 7
layout(binding = SCRATCH) coherent buffer Parts { vec4 parts[]; };       // (splits, pixels, I)
layout(binding = SCRATCH) coherent buffer Counters { uint counters[]; }; // (nodes, tiles)
#define BN_CONSTANT 18
#define NORM_Y_AT 0
#define BN_BINDING 3
#include "matrix_gradient_sums.glsl"

const uint K = KH * KW * O;
STORE_TILE(store_tile, dx, 0, row_of_product)
WHOLE_TILE(parts, parts_at, counters, counters_at)
NOTHING_BESIDE
TAKE_GRADIENT_SUMS

const uint CHANNELS = O;
const uint UNIT_DY = O % 4 == 0 ? 4 : 1; // of addresses
const uint UNIT_W = I % 4 == 0 ? 4 : 1;
#include "conv_window.glsl"

// Row h of X contributed to row (h + PAD - kh)/STRIDE of DY through row kh of the
// kernel, if that is whole: to h' − kh/STRIDE with h' = (h + PAD)/STRIDE.
bool in_row(uint h, uint kh) { return (h + PAD) % STRIDE == kh % STRIDE && (h + PAD) / STRIDE - kh / STRIDE < OH; }
bool in_column(uint w, uint kw) { return (w + PAD) % STRIDE == kw % STRIDE && (w + PAD) / STRIDE - kw / STRIDE < OW; }

// Returns how many pixels of DY a position of the kernel leads back from the first.
uint pixels_back(uint position) { return position / KW / STRIDE * OW + position % KW / STRIDE; }

uint base_a[LOADS_A], base_b[LOADS_B]; // where the rows begin in DY, and the columns in W

void begin_a(uint v, uint m, uint kk, uint k0) {
    uint pixel = min(m, pixels - 1), h = pixel / W % H, w = pixel % W;
    base_a[v] = ((pixel / (W * H) * OH + (h + PAD) / STRIDE) * OW + (w + PAD) / STRIDE) * (O / UNIT_DY) +
                (ONE_POSITION ? kk / 4 : 0);
    note_window(v, h, w);
}

void begin_b(uint v, uint n, uint kk, uint k0) {
    base_b[v] = UNIT_W == 4 ? (I % BN == 0 ? n : min(n, I - 4)) / 4 : n;
    if (ONE_POSITION) {
        base_b[v] += kk * (KH * KW * I / UNIT_W);
    }
}

vec4 load_a(uint v, uint m, uint kk, uint k, out uint valid) {
    if (UNIT_DY == 4) {
        uint column = ONE_POSITION ? k : k + kk;
        valid = in_window(v, column / O);
        return dy[(base_a[v] + (column % O / 4 - pixels_back(column / O) * (O / 4))) & valid];
    }
    valid = ~0u;
    vec4 quad;
    [[unroll]] for (uint j = 0; j < 4; j++) {
        uint column = k + kk + j, inside = in_window(v, column / O);
        uint at = (base_a[v] + (column % O - pixels_back(column / O) * O)) & inside;
        quad[j] = uintBitsToFloat(floatBitsToUint(dy[at / 4][at % 4]) & inside);
    }
    return quad;
}

vec4 load_b(uint v, uint n, uint kk, uint k, out uint valid) {
    valid = in_k(k + kk, K);
    uint column = ONE_POSITION ? k : k + kk;
    uint row = column % O * (KH * KW) + column / O; // of W as (O·KH·KW, I)
    uint at = (base_b[v] + row * (I / UNIT_W)) & valid;
    if (UNIT_W == 4) {
        return w[at];
    }
    vec4 quad;
    [[unroll]] for (uint j = 0; j < 4; j++) {
        uint e = n + j < I ? at + j : 0;
        quad[j] = w[e / 4][e % 4];
    }
    return quad;
}

void advance() {}

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
