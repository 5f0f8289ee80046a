// Writes a workgroup's tile, after multiply_tile, to the binding C: the result
// (M, N), or with several splits of K the partial sums (splits, M, N) that
// split_k_sum adds up.
#ifndef MATRIX_STORE_GLSL
#define MATRIX_STORE_GLSL

// STORE_TILE defines store_tile for the name of the result's buffer (vec4s).
// The including shader defines float bias_of(uint n), which is added to column
// n where with_bias.
#define STORE_TILE(RESULT)                                                                    \
    void store_tile(Group g, uint m, uint n, bool with_bias, bool accumulate) {               \
        [[unroll]] for (uint i = 0; i < TM; i++) {                                            \
            uint row = g.m0 + row_of(i / 4) + i % 4;                                          \
            [[unroll]] for (uint q = 0; q < TN / 4; q++) {                                    \
                uint col = g.n0 + col_of(q);                                                  \
                if (row >= m || col >= n) {                                                   \
                    continue;                                                                 \
                }                                                                             \
                uint at = (g.split * m + row) * n + col;                                      \
                vec4 v = accumulator[i * (TN / 4) + q];                                       \
                [[unroll]] for (uint j = 0; j < 4; j++) {                                     \
                    v[j] += with_bias && col + j < n ? bias_of(col + j) : 0.0;                \
                }                                                                             \
                if (n % 4 == 0) {                                                             \
                    RESULT[at / 4] = accumulate ? RESULT[at / 4] + v : v;                     \
                    continue;                                                                 \
                }                                                                             \
                [[unroll]] for (uint j = 0; j < 4; j++) {                                     \
                    uint e = at + j;                                                          \
                    if (col + j < n) {                                                        \
                        RESULT[e / 4][e % 4] = accumulate ? RESULT[e / 4][e % 4] + v[j] : v[j]; \
                    }                                                                         \
                }                                                                             \
            }                                                                                 \
        }                                                                                     \
    }

#endif
