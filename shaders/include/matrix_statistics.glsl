// Mean and squared deviations of each column of a workgroup's tile, for a
// batch-norm behind the product. The including shader declares the constant
// WITH_STATISTICS before.
#ifndef MATRIX_STATISTICS_GLSL
#define MATRIX_STATISTICS_GLSL

shared vec4 column_sums[WITH_STATISTICS != 0 ? THREADS_M * BN / 4 : 1]; // [row of threads][n/4]

// Adds up v over the threads that hold a column quad; all of them get the sum.
vec4 sum_rows(uint q, vec4 v) {
    uint col = col_of(q) / 4;
    barrier();
    column_sums[gl_LocalInvocationID.x / THREADS_N * (BN / 4) + col] = v;
    barrier();
    vec4 sum = vec4(0.0);
    for (uint t = 0; t < THREADS_M; t++) {
        sum += column_sums[t * (BN / 4) + col];
    }
    return sum;
}

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
const uint COMBINE_DEPTH = THREADS / (BN / 4); // tiles of rows taken side by side

shared vec4 depth_sums[WITH_STATISTICS != 0 ? THREADS : 1];

// Adds up v over the threads that share a column quad.
vec4 sum_combine_depth(vec4 v) {
    uint t = gl_LocalInvocationID.x;
    barrier();
    depth_sums[t] = v;
    barrier();
    vec4 sum = vec4(0.0);
    for (uint d = 0; d < COMBINE_DEPTH; d++) {
        sum += depth_sums[d * (BN / 4) + t % (BN / 4)];
    }
    return sum;
}

#define COMBINE_STATISTICS(PARTIALS, MEAN, VARIANCE)                                          \
    vec4 partial_of(uint row, uint col, uint n) {                                             \
        vec4 v = vec4(0.0);                                                                   \
        [[unroll]] for (uint j = 0; j < 4; j++) {                                             \
            if (col + j < n) {                                                                \
                v[j] = PARTIALS[row * n + col + j];                                           \
            }                                                                                 \
        }                                                                                     \
        return v;                                                                             \
    }                                                                                         \
    void combine_statistics(Group g, uint m, uint n) {                                        \
        uint t = gl_LocalInvocationID.x, first = t / (BN / 4);                                \
        uint col = g.n0 + 4 * (t % (BN / 4)), tiles = (m + BM - 1) / BM;                      \
        vec4 origin = partial_of(0, col, n), sum = vec4(0.0);                                 \
        for (uint i = first; i < tiles && first < COMBINE_DEPTH; i += COMBINE_DEPTH) {        \
            sum += float(min(BM, m - i * BM)) * (partial_of(2 * i, col, n) - origin);         \
        }                                                                                     \
        vec4 mean = origin + sum_combine_depth(sum) / float(m), square = vec4(0.0);           \
        for (uint i = first; i < tiles && first < COMBINE_DEPTH; i += COMBINE_DEPTH) {        \
            vec4 d = partial_of(2 * i, col, n) - mean;                                        \
            square += partial_of(2 * i + 1, col, n) + float(min(BM, m - i * BM)) * d * d;     \
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
