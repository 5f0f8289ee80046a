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

#endif
