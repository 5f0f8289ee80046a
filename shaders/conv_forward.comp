#version 450
#extension GL_GOOGLE_include_directive : require
// Y = patches(X)·Wᵀ + Bias: M = N·OH·OW pixels, N = O channels, K = KH·KW·I
// taps. On request it also computes the statistics of each row tile; the last
// workgroup of a column of tiles combines them, or else batchnorm_combine does.
// In inference it normalises by given statistics instead, on request with ReLU, and
// can then pool: four consecutive rows of the product are the pixels of a window of
// 2×2, so that a thread has whole windows. OH and OW must then be even.
#include "common.glsl"
#include "max_window.glsl"
#include "relu.glsl"

layout(constant_id = 18) const bool WITH_STATISTICS = false;
layout(constant_id = 19) const bool COMBINE = false; // the last workgroup combines them
layout(constant_id = 20) const bool NORMALIZE = false; // as batchnorm_forward does in inference
layout(constant_id = 21) const bool WITH_RELU = false; // after that
layout(constant_id = 22) const bool POOL = false; // after that too

const bool A_ALONG_K = true;
const bool B_ALONG_K = true;
#include "conv_shape.glsl"
#define MASK_A (I % 4 == 0)
#define MASK_B (!WHOLE_K)
#define MIXED_CONSTANT 23
#include "matrix_tile.glsl"
#include "matrix_store.glsl"
#include "matrix_statistics.glsl"

layout(push_constant) uniform Push {
    uint pixels, split_k, with_bias;
    float eps; // added to the variance
    uint bias_at, mean_at, variance_at, gamma_at, beta_at;
    uint parts_at, counters_at, partials_at;
};
layout(binding = 0) readonly buffer X { vec4 x[]; };        // (N, H, W, I)
layout(binding = 1) readonly buffer Weight { vec4 w[]; };   // (O, KH·KW·I)
layout(binding = 2) buffer Y { vec4 y[]; };                 // (pixels, O), (pixels/4, O) if pooled, or (splits, pixels, O)
layout(binding = 3) readonly buffer Bias { float bias[]; }; // (O)
layout(binding = 3) buffer Mean { float mean_of[]; };                    // (O), read where NORMALIZE is set, else written
layout(binding = 3) buffer Variance { float variance_of[]; };            // (O), biased; likewise
layout(binding = 3) readonly buffer Gamma { float gamma[]; };            // (O)
layout(binding = 3) readonly buffer Beta { float beta[]; };              // (O)
layout(binding = 4) coherent buffer Parts { vec4 parts[]; };             // (splits, pixels, O)
layout(binding = 4) coherent buffer Counters { uint counters[]; };       // (nodes, tiles), then (nodes, columns of tiles)
layout(binding = 4) coherent buffer Partials { float partials[]; };      // (tiles of rows, 2, O)

const uint CHANNELS = I;
const uint UNIT = I % 4 == 0 ? 4 : 1; // of addresses in X
#include "conv_window.glsl"
bool in_row(uint h, uint kh) { return h + kh < H; }
bool in_column(uint w, uint kw) { return w + kw < W; }
ADD_BIAS(bias, bias_at)

// Returns where the thread's row i goes: a window's maximum is in the first of its rows.
uint stored_row(Group g, uint i) {
    uint row = row_of_product(g, i);
    return !POOL ? row : i % 4 == 0 ? row / 4 : ~0u;
}

STORE_TILE(store_tile, y, 0, stored_row)
WHOLE_TILE(parts, parts_at, counters, counters_at)
NOTHING_BESIDE
STORE_STATISTICS(partials, partials_at)
COMBINE_STATISTICS(partials, partials_at, mean_of, mean_at, variance_of, variance_at)

// Returns the pixel, of (N, OH, OW), that a row of the product is. Rows that are
// pooled are (N, OH/2, OW/2, 2, 2), with the window's pixels last.
uint pixel_at(uint row) {
    if (!POOL) {
        return row;
    }
    uint window = row / 4, pairs = OW / 2;
    return (window / pairs * 2 + row % 4 / 2) * OW + window % pairs * 2 + row % 2;
}

// Returns how many pixels a position of the kernel is after the first.
uint pixels_to(uint position) { return position / KW * W + position % KW; }

uint base_a[LOADS_A], base_b[LOADS_B]; // where the rows begin in X and W

void begin_a(uint v, uint m, uint kk, uint k0) {
    uint pixel = pixel_at(min(m, pixels - 1));
    uint h = pixel / OW % OH * STRIDE - PAD, w = pixel % OW * STRIDE - PAD; // wraps around above the image
    base_a[v] = ((pixel / (OW * OH) * H + h) * W + w) * (I / UNIT) + (ONE_POSITION ? kk / 4 : 0);
    note_window(v, h, w);
}

void begin_b(uint v, uint n, uint kk, uint k0) { base_b[v] = min(n, O - 1) * TAPS; }

vec4 load_a(uint v, uint m, uint kk, uint k, out uint valid) {
    if (UNIT == 4) {
        uint tap = ONE_POSITION ? k : k + kk;
        valid = in_window(v, tap / I);
        return x[(base_a[v] + (pixels_to(tap / I) * (I / 4) + tap % I / 4)) & valid];
    }
    valid = ~0u;
    vec4 quad;
    [[unroll]] for (uint j = 0; j < 4; j++) {
        uint tap = k + kk + j, inside = in_window(v, tap / I);
        uint at = (base_a[v] + (pixels_to(tap / I) * I + tap % I)) & inside;
        quad[j] = uintBitsToFloat(floatBitsToUint(x[at / 4][at % 4]) & inside);
    }
    return quad;
}

vec4 load_b(uint v, uint n, uint kk, uint k, out uint valid) {
    if (TAPS % 4 == 0) {
        valid = in_k(k + kk, TAPS);
        return w[(base_b[v] / 4 + kk / 4 + k / 4) & valid];
    }
    valid = ~0u;
    vec4 quad;
    [[unroll]] for (uint j = 0; j < 4; j++) {
        uint inside = in_k(k + kk + j, TAPS), at = (base_b[v] + k + kk + j) & inside;
        quad[j] = uintBitsToFloat(floatBitsToUint(w[at / 4][at % 4]) & inside);
    }
    return quad;
}

void advance() {}

// Normalises the tile.
void normalize_tile(Group g) {
    [[unroll]] for (uint q = 0; q < TN / 4; q++) {
        vec4 mean, variance, scale, shift;
        [[unroll]] for (uint j = 0; j < 4; j++) {
            uint c = min(g.n0 + col_of(q) + j, O - 1);
            mean[j] = mean_of[mean_at + c];
            variance[j] = variance_of[variance_at + c];
            scale[j] = gamma[gamma_at + c];
            shift[j] = beta[beta_at + c];
        }
        vec4 inv_std = 1.0 / sqrt(variance + eps);
        [[unroll]] for (uint i = 0; i < TM; i++) {
            vec4 v = (accumulator[i * (TN / 4) + q] - mean) * inv_std * scale + shift;
            accumulator[i * (TN / 4) + q] = WITH_RELU ? relu(v) : v;
        }
    }
}

// Replaces the first of each four rows of the tile by the largest.
void pool_tile() {
    [[unroll]] for (uint i = 0; i < TM; i += 4) {
        [[unroll]] for (uint q = 0; q < TN / 4; q++) {
            vec4 best = accumulator[i * (TN / 4) + q];
            uvec4 best_at = uvec4(0);
            [[unroll]] for (uint p = 1; p < 4; p++) {
                take_max(accumulator[(i + p) * (TN / 4) + q], p, best, best_at);
            }
            accumulator[i * (TN / 4) + q] = best;
        }
    }
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
    if (NORMALIZE) {
        normalize_tile(g);
    }
    if (POOL) {
        pool_tile();
    }
    store_tile(g, SUM_SPLITS ? 0 : g.split, POOL ? pixels / 4 : pixels, O, false);
    if (COMBINE) {
        take_statistics(g, free_counter(pixels, O), pixels, O);
    } else if (WITH_STATISTICS) {
        store_statistics(g, pixels, O);
    }
}
