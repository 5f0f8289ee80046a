// The mean and squared deviations of each column of a workgroup's tile, for a
// batch-norm after the product. The including shader first declares the constant
// WITH_STATISTICS.
#ifndef MATRIX_STATISTICS_GLSL
#define MATRIX_STATISTICS_GLSL

const bool COLUMN_SUMS = WITH_STATISTICS;
#include "matrix_columns.glsl"

// STORE_STATISTICS defines store_statistics, which writes PARTIALS (row tiles, 2,
// N). As in batchnorm_statistics, the sum of the deviations corrects the rounded
// mean.
#define STORE_STATISTICS(PARTIALS, FIRST)                                                     \
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
            uint at = FIRST + g.m0 / BM * 2 * n, col = g.n0 + col_of(q);                      \
            [[unroll]] for (uint j = 0; j < 4; j++) {                                         \
                if (gl_LocalInvocationID.x < THREADS_N && col + j < n) {                      \
                    PARTIALS[at + col + j] = mean[j];                                         \
                    PARTIALS[at + n + col + j] = max(square[j], 0.0);                         \
                }                                                                             \
            }                                                                                 \
        }                                                                                     \
    }

// COMBINE_STATISTICS defines take_statistics, which writes the statistics of the
// workgroup and, if it is the last one, MEAN and VARIANCE (N) of all rows, combined
// as in batchnorm_combine, level by level. counter is the first free counter.
#define COMBINE_STATISTICS(PARTIALS, FIRST, MEAN, FIRST_MEAN, VARIANCE, FIRST_VARIANCE)       \
    vec4 partial_of(uint row, uint col, uint n) {                                             \
        vec4 v;                                                                               \
        [[unroll]] for (uint j = 0; j < 4; j++) {                                             \
            v[j] = PARTIALS[FIRST + row * n + min(col + j, n - 1)];                           \
        }                                                                                     \
        return v;                                                                             \
    }                                                                                         \
    void combine_statistics(Group g, Tree t, uint m, uint n, out vec4 mean, out vec4 square) { \
        uint col = g.n0 + combine_col();                                                      \
        float rows[COMBINE_AT_ONCE];                                                          \
        vec4 means[COMBINE_AT_ONCE], squares[COMBINE_AT_ONCE];                                \
        vec4 origin = partial_of(2 * t.first, col, n);                                        \
        [[unroll]] for (uint u = 0; u < COMBINE_AT_ONCE; u++) {                               \
            uint part = child_part(t, u);                                                     \
            rows[u] = has_child(t, u) ? float(min(t.gap * BM, m - part * BM)) : 0.0;          \
            means[u] = partial_of(2 * part, col, n);                                          \
            squares[u] = partial_of(2 * part + 1, col, n);                                    \
        }                                                                                     \
        vec4 sum = vec4(0.0);                                                                 \
        [[unroll]] for (uint u = 0; u < COMBINE_AT_ONCE; u++) {                               \
            sum += has_child(t, u) ? rows[u] * (means[u] - origin) : vec4(0.0);               \
        }                                                                                     \
        float all_rows = float(min(t.stride * BM, m - t.first * BM));                         \
        mean = origin + sum_combine_depth(sum) / all_rows;                                    \
        square = vec4(0.0);                                                                   \
        [[unroll]] for (uint u = 0; u < COMBINE_AT_ONCE; u++) {                               \
            vec4 d = means[u] - mean;                                                         \
            square += has_child(t, u) ? squares[u] + rows[u] * d * d : vec4(0.0);             \
        }                                                                                     \
        square = sum_combine_depth(square);                                                   \
    }                                                                                         \
    void take_statistics(Group g, uint counter, uint m, uint n) {                             \
        store_statistics(g, m, n);                                                            \
        Tree t = tree_of(g.m0 / BM, (m + BM - 1) / BM, counter + g.n0 / BN);                  \
        do {                                                                                  \
            if (!climb(t, COMBINE_FAN, (n + BN - 1) / BN)) {                                  \
                return;                                                                       \
            }                                                                                 \
            vec4 mean, square;                                                                \
            combine_statistics(g, t, m, n, mean, square);                                     \
            uint at = FIRST + 2 * part_of(t) * n, col = g.n0 + combine_col();                 \
            [[unroll]] for (uint j = 0; j < 4; j++) {                                         \
                if (combine_depth() == 0 && col + j < n) {                                    \
                    if (t.nodes > 1) {                                                        \
                        PARTIALS[at + col + j] = mean[j];                                     \
                        PARTIALS[at + n + col + j] = square[j];                               \
                    } else {                                                                  \
                        MEAN[FIRST_MEAN + col + j] = mean[j];                                 \
                        VARIANCE[FIRST_VARIANCE + col + j] = square[j] / float(m);            \
                    }                                                                         \
                }                                                                             \
            }                                                                                 \
        } while (t.nodes > 1);                                                                \
    }

#endif
