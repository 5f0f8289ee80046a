// The sums of A's rows over k beside a product, for a bias gradient beside that
// of the weights. The workgroups of the first column of tiles compute them.
#ifndef MATRIX_ROW_SUMS_GLSL
#define MATRIX_ROW_SUMS_GLSL

// STORE_ROW_SUMS defines two functions for all invocations to call:
// store_row_sums, after multiply_tile, which writes the workgroup's own to row
// number part of PARTS (…, M); and sum_row_parts, which writes the sum of the
// first splits rows of PARTS to RESULT (M).
#define STORE_ROW_SUMS(PARTS, RESULT)                                                         \
    void store_row_sums(Group g, uint part, uint m) {                                         \
        if (ROW_SUMS == 0 || g.n0 != 0) {                                                     \
            return;                                                                           \
        }                                                                                     \
        uint quad = gl_LocalInvocationID.x; /* there are more threads than quads of rows */   \
        vec4 sum = row_sums(min(quad, BM / 4 - 1));                                           \
        [[unroll]] for (uint j = 0; j < 4; j++) {                                             \
            uint row = g.m0 + 4 * quad + j;                                                   \
            if (quad < BM / 4 && row < m) {                                                   \
                PARTS[part * m + row] = sum[j];                                               \
            }                                                                                 \
        }                                                                                     \
    }                                                                                         \
    void sum_row_parts(Group g, uint splits, uint m) {                                        \
        if (ROW_SUMS == 0 || g.n0 != 0) {                                                     \
            return;                                                                           \
        }                                                                                     \
        for (uint row = g.m0 + gl_LocalInvocationID.x; row < min(m, g.m0 + BM); row += THREADS) { \
            float sum = 0.0;                                                                  \
            for (uint s = 0; s < splits; s++) {                                               \
                sum += PARTS[s * m + row];                                                    \
            }                                                                                 \
            RESULT[row] = sum;                                                                \
        }                                                                                     \
    }

#endif
