// Writes a workgroup's tile, after multiply_tile, to the result (M, N), or with
// several splits of K to the partial sums (splits, M, N) that split_k_sum adds
// up.
#ifndef MATRIX_STORE_GLSL
#define MATRIX_STORE_GLSL

// ADD_BIAS defines add_bias, which adds BIAS (N) to every row of the tile.
#define ADD_BIAS(BIAS)                                                                        \
    void add_bias(Group g, uint n) {                                                          \
        [[unroll]] for (uint q = 0; q < TN / 4; q++) {                                        \
            uint col = g.n0 + col_of(q);                                                      \
            vec4 v = vec4(0.0);                                                               \
            [[unroll]] for (uint j = 0; j < 4; j++) {                                         \
                if (col + j < n) {                                                            \
                    v[j] = BIAS[col + j];                                                     \
                }                                                                             \
            }                                                                                 \
            [[unroll]] for (uint i = 0; i < TM; i++) {                                        \
                accumulator[i * (TN / 4) + q] += v;                                           \
            }                                                                                 \
        }                                                                                     \
    }

// STORE_TILE defines store_tile, which writes the tile to RESULT (vec4s) or
// adds it.
#define STORE_TILE(RESULT)                                                                    \
    void store_tile(Group g, uint m, uint n, bool add) {                               \
        [[unroll]] for (uint i = 0; i < TM; i++) {                                            \
            uint row = g.m0 + row_of(i / 4) + i % 4;                                          \
            [[unroll]] for (uint q = 0; q < TN / 4; q++) {                                    \
                uint col = g.n0 + col_of(q);                                                  \
                if (row >= m || col >= n) {                                                   \
                    continue;                                                                 \
                }                                                                             \
                uint at = (g.split * m + row) * n + col;                                      \
                vec4 v = accumulator[i * (TN / 4) + q];                                       \
                if (n % 4 == 0) {                                                             \
                    RESULT[at / 4] = add ? RESULT[at / 4] + v : v;                     \
                    continue;                                                                 \
                }                                                                             \
                [[unroll]] for (uint j = 0; j < 4; j++) {                                     \
                    uint e = at + j;                                                          \
                    if (col + j < n) {                                                        \
                        RESULT[e / 4][e % 4] = add ? RESULT[e / 4][e % 4] + v[j] : v[j]; \
                    }                                                                         \
                }                                                                             \
            }                                                                                 \
        }                                                                                     \
    }

#endif
