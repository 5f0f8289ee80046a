// Mean and squared deviations of each column of a workgroup's tile, for a
// batch-norm behind the product. The including shader declares the constant
// WITH_STATISTICS before.
#ifndef MATRIX_STATISTICS_GLSL
#define MATRIX_STATISTICS_GLSL

const uint COLUMN_SUMS = WITH_STATISTICS;
#include "matrix_columns.glsl"

// STORE_STATISTICS defines store_statistics, which writes PARTIALS (tiles of
// rows, 2, N). As in batchnorm_statistics, what the deviations add up to
// corrects the rounded mean.
#define STORE_STATISTICS(PARTIALS)                                                            \
    void store_statistics(Group g, uint m, uint n) {                                          \
        uint rows = min(BM, m - g.m0);                                                        \
        [[unroll]] for (uint q = 0; q < TN / 4; q++) {                                        \
            vec4 sum = vec4(0.0);                                                             \
            [[unroll]] for (uint i = 0; i < TM; i++) {                                        \
                sum += row_of(i / 4) + i % 4 < rows ? accumulator[i * (TN / 4) + q] : vec4(0.0); \
            }                                                                                 \
            vec4 mean = sum_rows(q, sum) / float(rows);                                       \
            vec4 deviation = vec4(0.0), square = vec4(0.0);                                   \
            [[unroll]] for (uint i = 0; i < TM; i++) {                                        \
                vec4 d = accumulator[i * (TN / 4) + q] - mean;                                \
                d = row_of(i / 4) + i % 4 < rows ? d : vec4(0.0);                             \
                deviation += d;                                                               \
                square += d * d;                                                              \
            }                                                                                 \
            deviation = sum_rows(q, deviation);                                               \
            square = sum_rows(q, square) - deviation * deviation / float(rows);               \
            mean += deviation / float(rows);                                                  \
            uint at = g.m0 / BM * 2 * n, col = g.n0 + col_of(q);                              \
            [[unroll]] for (uint j = 0; j < 4; j++) {                                         \
                if (gl_LocalInvocationID.x < THREADS_N && col + j < n) {                      \
                    PARTIALS[at + col + j] = mean[j];                                         \
                    PARTIALS[at + n + col + j] = max(square[j], 0.0);                         \
                }                                                                             \
            }                                                                                 \
        }                                                                                     \
    }

// COMBINE_STATISTICS defines combine_statistics, which combines what all tiles
// of the workgroup's columns have written to PARTIALS, as batchnorm_combine
// does, and writes MEAN and VARIANCE (N).
#define COMBINE_STATISTICS(PARTIALS, MEAN, VARIANCE)                                          \
    vec4 partial_of(uint row, uint col, uint n) {                                             \
        vec4 v;                                                                               \
        [[unroll]] for (uint j = 0; j < 4; j++) {                                             \
            v[j] = PARTIALS[row * n + min(col + j, n - 1)];                                   \
        }                                                                                     \
        return v;                                                                             \
    }                                                                                         \
    /* Weights of COMBINE_AT_ONCE tiles from the i-th, COMBINE_DEPTH apart, and what they     \
       hold in row (0 or 1): as many loads under way at a time. Tiles that do not exist have  \
       weight 0. */                                                                           \
    void load_partials(uint i, uint row, uint col, uint m, uint n, out float rows[COMBINE_AT_ONCE], \
                       out vec4 v[COMBINE_AT_ONCE]) {                                         \
        uint tiles = (m + BM - 1) / BM;                                                       \
        [[unroll]] for (uint u = 0; u < COMBINE_AT_ONCE; u++) {                               \
            uint tile = i + u * COMBINE_DEPTH;                                                \
            rows[u] = tile < tiles ? float(min(BM, m - tile * BM)) : 0.0;                     \
            v[u] = partial_of(2 * min(tile, tiles - 1) + row, col, n);                        \
        }                                                                                     \
    }                                                                                         \
    void combine_statistics(Group g, uint m, uint n) {                                        \
        uint t = gl_LocalInvocationID.x, first = t / (BN / 4);                                \
        uint col = g.n0 + 4 * (t % (BN / 4));                                                 \
        uint end = first < COMBINE_DEPTH ? (m + BM - 1) / BM : 0;                             \
        float rows[COMBINE_AT_ONCE];                                                          \
        vec4 means[COMBINE_AT_ONCE], squares[COMBINE_AT_ONCE];                                \
        vec4 origin = partial_of(0, col, n), sum = vec4(0.0);                                 \
        for (uint i = first; i < end; i += COMBINE_AT_ONCE * COMBINE_DEPTH) {                 \
            load_partials(i, 0, col, m, n, rows, means);                                      \
            [[unroll]] for (uint u = 0; u < COMBINE_AT_ONCE; u++) {                           \
                sum += rows[u] * (means[u] - origin);                                         \
            }                                                                                 \
        }                                                                                     \
        vec4 mean = origin + sum_combine_depth(sum) / float(m), square = vec4(0.0);           \
        for (uint i = first; i < end; i += COMBINE_AT_ONCE * COMBINE_DEPTH) {                 \
            load_partials(i, 0, col, m, n, rows, means);                                      \
            load_partials(i, 1, col, m, n, rows, squares);                                    \
            [[unroll]] for (uint u = 0; u < COMBINE_AT_ONCE; u++) {                           \
                vec4 d = means[u] - mean;                                                     \
                square += rows[u] > 0.0 ? squares[u] + rows[u] * d * d : vec4(0.0);           \
            }                                                                                 \
        }                                                                                     \
        square = sum_combine_depth(square);                                                   \
        [[unroll]] for (uint j = 0; j < 4; j++) {                                             \
            if (first == 0 && col + j < n) {                                                  \
                MEAN[col + j] = mean[j];                                                      \
                VARIANCE[col + j] = square[j] / float(m);                                     \
            }                                                                                 \
        }                                                                                     \
    }

#endif
