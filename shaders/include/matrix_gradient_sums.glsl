// The two sums of a batch-norm's gradient (as in batchnorm_backward_sums, with ReLU
// and pooling) over a product that is the gradient of the pooled output Y. A row of
// the product holds n/BN_C windows of BN_C channels; a tile lies in one window. BN_C
// is a multiple of 4.
//
// The including shader defines BN_CONSTANT and BN_BINDING, the first free numbers, and
// SMALL and SCRATCH, bindings that it shares (matrix_store.glsl). Before that it
// declares its push constants. NORM_Y_AT is where Y begins in its binding.
#ifndef MATRIX_GRADIENT_SUMS_GLSL
#define MATRIX_GRADIENT_SUMS_GLSL

layout(constant_id = BN_CONSTANT) const bool GRADIENT_SUMS = false; // whether to compute them
layout(constant_id = BN_CONSTANT + 1) const uint BN_H = 1;      // X is (N, H, W, C)
layout(constant_id = BN_CONSTANT + 2) const uint BN_W = 1;
layout(constant_id = BN_CONSTANT + 3) const uint BN_C = 4;
layout(constant_id = BN_CONSTANT + 4) const uint BN_SIZE = 1; // Y is (N, H/SIZE, W/SIZE, C)

layout(binding = BN_BINDING) readonly buffer NormX { float norm_x[]; };              // X's shape
layout(binding = BN_BINDING + 1) readonly buffer NormY { vec4 norm_y[]; };           // Y's shape
layout(binding = BN_BINDING + 2) readonly buffer NormIndex { uvec4 norm_index[]; };  // Y's shape
layout(binding = SMALL) readonly buffer NormMean { vec4 norm_mean[]; };              // (C)
layout(binding = SMALL) readonly buffer NormInvStd { vec4 norm_inv_std[]; };         // (C)
layout(binding = SMALL) writeonly buffer DBeta { vec4 dbeta_of[]; };                 // (C)
layout(binding = SMALL) writeonly buffer DGamma { vec4 dgamma_of[]; };               // (C)
layout(binding = SCRATCH) coherent buffer NormParts { vec4 norm_parts[]; };          // (chunks, 2, C)

const bool COLUMN_SUMS = GRADIENT_SUMS;
#include "matrix_columns.glsl"

// Returns x̂ of channels c to c + 3 at the maxima of a window; at is its position in Y.
vec4 normalized(uint window, uint c, uint at) {
    const uint across = BN_W / BN_SIZE, down = BN_H / BN_SIZE;
    uvec4 position = BN_SIZE == 1 ? uvec4(0) : norm_index[at];
    uint corner = window;
    if (BN_SIZE != 1) {
        corner = (window / across / down * BN_H + window / across % down * BN_SIZE) * BN_W + window % across * BN_SIZE;
    }
    uvec4 pixel = corner + position / BN_SIZE * BN_W + position % BN_SIZE;
    vec4 x;
    [[unroll]] for (uint j = 0; j < 4; j++) {
        x[j] = norm_x[pixel[j] * BN_C + c + j];
    }
    return (x - norm_mean[norm_mean_at + c / 4]) * norm_inv_std[norm_inv_std_at + c / 4];
}

// Writes the sums of the workgroup's tile.
void store_gradient_sums(Group g, uint m, uint n) {
    uint window_col = g.n0 / BN_C, chunk = g.m0 / BM * (n / BN_C) + window_col;
    [[unroll]] for (uint q = 0; q < TN / 4; q++) {
        uint col = g.n0 + col_of(q), c = col - window_col * BN_C;
        vec4 beta = vec4(0.0), gamma = vec4(0.0);
        [[unroll]] for (uint i = 0; i < TM; i++) {
            uint row = g.m0 + row_of(i / 4) + i % 4, at = (row * n + col) / 4;
            if (row < m && col < n) {
                vec4 gradient = mix(vec4(0.0), accumulator[i * (TN / 4) + q], greaterThan(norm_y[NORM_Y_AT + at], vec4(0.0)));
                beta += gradient;
                gamma += gradient * normalized(row * (n / BN_C) + window_col, c, at);
            }
        }
        beta = sum_rows(q, beta);
        gamma = sum_rows(q, gamma);
        if (gl_LocalInvocationID.x < THREADS_N && col < n) {
            norm_parts[norm_parts_at + (2 * chunk * BN_C + c) / 4] = beta;
            norm_parts[norm_parts_at + ((2 * chunk + 1) * BN_C + c) / 4] = gamma;
        }
    }
}

// Adds up the sums of the tree's tiles for the workgroup's channels.
void combine_gradient_sums(uint c, Tree t, out vec4 beta, out vec4 gamma) {
    uint own = min(c, BN_C - 4);
    vec4 betas[COMBINE_AT_ONCE], gammas[COMBINE_AT_ONCE];
    [[unroll]] for (uint u = 0; u < COMBINE_AT_ONCE; u++) {
        uint at = 2 * child_part(t, u) * BN_C + own;
        betas[u] = norm_parts[norm_parts_at + at / 4];
        gammas[u] = norm_parts[norm_parts_at + (at + BN_C) / 4];
    }
    beta = vec4(0.0);
    gamma = vec4(0.0);
    [[unroll]] for (uint u = 0; u < COMBINE_AT_ONCE; u++) {
        beta += has_child(t, u) ? betas[u] : vec4(0.0);
        gamma += has_child(t, u) ? gammas[u] : vec4(0.0);
    }
    beta = sum_combine_depth(beta);
    gamma = sum_combine_depth(gamma);
}

// TAKE_GRADIENT_SUMS defines take_gradient_sums, which writes the sums of the tile
// and, in the last workgroup, the total sums. counter is the first free counter; m
// and n are the product's extents.
#define TAKE_GRADIENT_SUMS                                                                    \
    void take_gradient_sums(Group g, uint counter, uint m, uint n) {                          \
        store_gradient_sums(g, m, n);                                                         \
        uint c = g.n0 % BN_C + combine_col(), windows = n / BN_C;                             \
        Tree t = tree_of(g.m0 / BM * windows + g.n0 / BN_C, (m + BM - 1) / BM * windows,      \
                         counter + g.n0 % BN_C / BN);                                         \
        do {                                                                                  \
            if (!climb(t, COMBINE_FAN, (BN_C + BN - 1) / BN)) {                               \
                return;                                                                       \
            }                                                                                 \
            vec4 beta, gamma;                                                                 \
            combine_gradient_sums(c, t, beta, gamma);                                         \
            if (combine_depth() == 0 && c < BN_C) {                                           \
                uint at = 2 * part_of(t) * BN_C + c;                                          \
                if (t.nodes > 1) {                                                            \
                    norm_parts[norm_parts_at + at / 4] = beta;                                \
                    norm_parts[norm_parts_at + (at + BN_C) / 4] = gamma;                      \
                } else {                                                                      \
                    dbeta_of[dbeta_at + c / 4] = beta;                                        \
                    dgamma_of[dgamma_at + c / 4] = gamma;                                     \
                }                                                                             \
            }                                                                                 \
        } while (t.nodes > 1);                                                                \
    }

#endif
