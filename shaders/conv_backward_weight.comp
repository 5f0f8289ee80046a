#version 450
#extension GL_GOOGLE_include_directive : require
// DW = DYᵀ·patches(X), and DBias, the sums of DYᵀ's rows: M = O channels,
// N = KH·KW·I taps, K = N·OH·OW pixels. K is long and the result small, so the host
// splits K.
#include "common.glsl"

const bool A_ALONG_K = false;
const bool B_ALONG_K = false;
#include "conv_shape.glsl"
#define MASK_A (!WHOLE_K)
#define MASK_B (I % 4 == 0)
#define MIXED_CONSTANT 18
#include "matrix_tile.glsl"
#include "matrix_store.glsl"
#include "matrix_row_sums.glsl"

layout(push_constant) uniform Push {
    uint pixels, split_k;
    uint parts_at, counters_at, row_parts_at;
};
layout(binding = 0) readonly buffer X { vec4 x[]; };   // (N, H, W, I)
layout(binding = 1) readonly buffer DY { vec4 dy[]; }; // (pixels, O)
layout(binding = 2) buffer DW { vec4 dw[]; };          // (O, KH·KW·I) or (splits, O, KH·KW·I)
layout(binding = 3) coherent buffer Parts { vec4 parts[]; };            // (splits, O, KH·KW·I)
layout(binding = 3) coherent buffer Counters { uint counters[]; };      // (nodes, tiles)
layout(binding = 3) coherent buffer RowParts { float row_parts_of[]; }; // (splits, O)
layout(binding = 4) writeonly buffer DBias { float dbias[]; };          // (O)

STORE_TILE(store_tile, dw, 0, row_of_product)
WHOLE_TILE(parts, parts_at, counters, counters_at)
ROWS_BESIDE(row_parts_of, row_parts_at)
STORE_ROWS(store_row_sums, dbias, 0)

const uint UNIT = I % 4 == 0 ? 4 : 1;        // of addresses in X
const uint TAPS_AT_ONCE = UNIT == 4 ? 1 : 4; // of a vec4 that need an address of their own

// The patches of the pixels of a step, only the first if all have the same: the
// first element in X, and its row and column, without the padding.
uint patch_at[LOADS_B], patch_h[LOADS_B], patch_w[LOADS_B];

// Where the thread's taps are in any patch.
uint tap_at[LOADS_B * TAPS_AT_ONCE], tap_h[LOADS_B * TAPS_AT_ONCE], tap_w[LOADS_B * TAPS_AT_ONCE];

uint base_a[LOADS_A]; // where the columns begin in DY

void begin_a(uint v, uint m, uint kk, uint k0) { base_a[v] = kk * O + (O % 4 == 0 ? min(m, O - 4) : m); }

void begin_b(uint v, uint n, uint kk, uint k0) {
    if (v == 0 || !SAME_K_B) {
        uint pixel = k0 + kk;
        patch_h[v] = pixel / OW % OH * STRIDE;
        patch_w[v] = pixel % OW * STRIDE;
        patch_at[v] = ((pixel / (OW * OH) * H + patch_h[v]) * W + patch_w[v]) * (I / UNIT);
    }
    [[unroll]] for (uint j = 0; j < TAPS_AT_ONCE; j++) {
        uint tap = min(n + j, TAPS - UNIT), at = v * TAPS_AT_ONCE + j;
        tap_h[at] = tap / (KW * I) - PAD; // wraps around above the image
        tap_w[at] = tap / I % KW - PAD;
        tap_at[at] = (tap_h[at] * W + tap_w[at]) * (I / UNIT) + tap % I / UNIT;
    }
}

// Moves the patches by BK pixels.
void advance() {
    const uint right = BK % OW * STRIDE, down = BK / OW % OH * STRIDE, images = BK / OW / OH;
    [[unroll]] for (uint p = 0; p < LOADS_B; p++) {
        if (p > 0 && SAME_K_B) {
            continue;
        }
        patch_w[p] += right;
        patch_h[p] += down;
        patch_at[p] += ((images * H + down) * W + right) * (I / UNIT);
        bool row = patch_w[p] >= OW * STRIDE;
        patch_w[p] -= row ? OW * STRIDE : 0;
        patch_h[p] += row ? STRIDE : 0;
        patch_at[p] += row ? (STRIDE * W - OW * STRIDE) * (I / UNIT) : 0;
        bool image = patch_h[p] >= OH * STRIDE;
        patch_h[p] -= image ? OH * STRIDE : 0;
        patch_at[p] += image ? (H - OH * STRIDE) * W * (I / UNIT) : 0;
    }
}

vec4 load_a(uint v, uint m, uint kk, uint k, out uint valid) {
    valid = in_k(k + kk, pixels);
    if (O % 4 == 0) {
        return dy[(base_a[v] / 4 + k * (O / 4)) & valid];
    }
    vec4 quad;
    [[unroll]] for (uint j = 0; j < 4; j++) {
        uint e = (m + j < O ? base_a[v] + k * O + j : 0) & valid;
        quad[j] = dy[e / 4][e % 4];
    }
    return quad;
}

vec4 load_b(uint v, uint n, uint kk, uint k, out uint valid) {
    uint p = SAME_K_B ? 0 : v;
    valid = ~0u;
    vec4 quad;
    [[unroll]] for (uint j = 0; j < TAPS_AT_ONCE; j++) {
        uint t = v * TAPS_AT_ONCE + j;
        bool inside = patch_h[p] + tap_h[t] < H && patch_w[p] + tap_w[t] < W && (WHOLE_K || k + kk < pixels);
        uint at = inside ? patch_at[p] + tap_at[t] : 0;
        if (UNIT == 4) {
            valid = inside ? ~0u : 0;
            return x[at];
        }
        float element = x[at / 4][at % 4];
        quad[j] = inside ? element : 0.0;
    }
    return quad;
}

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
