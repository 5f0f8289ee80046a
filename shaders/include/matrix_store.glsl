// Writes a workgroup's tile, after multiply_tile, to the result (M, N), or with
// several splits of K to the partial sums (splits, M, N). Those are added up by
// the last workgroup of the tile, or else by split_k_sum.
#ifndef MATRIX_STORE_GLSL
#define MATRIX_STORE_GLSL

#include "last_group.glsl"

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

// STORE_TILE defines NAME, which writes the tile to matrix number part of
// RESULT (vec4s), (M, N) each, or adds it.
#define STORE_TILE(NAME, RESULT)                                                              \
    void NAME(Group g, uint part, uint m, uint n, bool add) {                                 \
        [[unroll]] for (uint i = 0; i < TM; i++) {                                            \
            uint row = g.m0 + row_of(i / 4) + i % 4;                                          \
            [[unroll]] for (uint q = 0; q < TN / 4; q++) {                                    \
                uint col = g.n0 + col_of(q);                                                  \
                if (row >= m || col >= n) {                                                   \
                    continue;                                                                 \
                }                                                                             \
                uint at = (part * m + row) * n + col;                                         \
                vec4 v = accumulator[i * (TN / 4) + q];                                       \
                if (n % 4 == 0) {                                                             \
                    RESULT[at / 4] = add ? RESULT[at / 4] + v : v;                            \
                    continue;                                                                 \
                }                                                                             \
                [[unroll]] for (uint j = 0; j < 4; j++) {                                     \
                    uint e = at + j;                                                          \
                    if (col + j < n) {                                                        \
                        RESULT[e / 4][e % 4] = add ? RESULT[e / 4][e % 4] + v[j] : v[j];      \
                    }                                                                         \
                }                                                                             \
            }                                                                                 \
        }                                                                                     \
    }

// SUM_TILES defines sum_tiles, which puts the sum of all splits' tiles, in
// their order, in the place of the workgroup's own. PARTS holds them as
// STORE_TILE wrote them.
#define SUM_TILES(PARTS)                                                                      \
    void sum_tiles(Group g, uint splits, uint m, uint n) {                                    \
        [[unroll]] for (uint i = 0; i < TM; i++) {                                            \
            uint row = g.m0 + row_of(i / 4) + i % 4;                                          \
            [[unroll]] for (uint q = 0; q < TN / 4; q++) {                                    \
                uint col = g.n0 + col_of(q);                                                  \
                vec4 sum = vec4(0.0);                                                         \
                for (uint s = 0; s < splits && row < m && col < n; s++) {                     \
                    uint at = (s * m + row) * n + col;                                        \
                    if (n % 4 == 0) {                                                         \
                        sum += PARTS[at / 4];                                                 \
                        continue;                                                             \
                    }                                                                         \
                    [[unroll]] for (uint j = 0; j < 4; j++) {                                 \
                        if (col + j < n) {                                                    \
                            sum[j] += PARTS[(at + j) / 4][(at + j) % 4];                      \
                        }                                                                     \
                    }                                                                         \
                }                                                                             \
                accumulator[i * (TN / 4) + q] = sum;                                          \
            }                                                                                 \
        }                                                                                     \
    }

// WHOLE_TILE defines whole_tile: whether the workgroup holds the tile of the
// whole sum over K, as each does without splits, and as the last one to arrive
// does after it has added up the others' from PARTS.
#define WHOLE_TILE(PARTS, COUNTERS)                                                           \
    LAST_GROUP(COUNTERS)                                                                      \
    STORE_TILE(store_part, PARTS)                                                             \
    SUM_TILES(PARTS)                                                                          \
    bool whole_tile(Group g, uint m, uint n) {                                                \
        if (SUM_SPLITS == 0) {                                                                \
            return true;                                                                      \
        }                                                                                     \
        store_part(g, g.split, m, n, false);                                                  \
        if (!is_last_group(g.tile, gl_NumWorkGroups.z)) {                                     \
            return false;                                                                     \
        }                                                                                     \
        sum_tiles(g, gl_NumWorkGroups.z, m, n);                                               \
        return true;                                                                          \
    }

#endif
