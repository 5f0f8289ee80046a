// Writes a workgroup's tile, after multiply_tile, to the result (M, N) or, with
// several splits of K, to partial sums (splits, M, N). The workgroups of the tile
// that arrive last add those up, or else split_k_sum does.
#ifndef MATRIX_STORE_GLSL
#define MATRIX_STORE_GLSL

#include "last_group.glsl"

// The macros below take a buffer and where in its binding it begins, FIRST.
//
// ADD_BIAS defines add_bias, which adds BIAS (N) to every row of the tile.
#define ADD_BIAS(BIAS, FIRST)                                                                   \
    void add_bias(Group g, uint n) {                                                          \
        [[unroll]] for (uint q = 0; q < TN / 4; q++) {                                        \
            uint col = g.n0 + col_of(q);                                                      \
            vec4 v = vec4(0.0);                                                               \
            [[unroll]] for (uint j = 0; j < 4; j++) {                                         \
                if (col + j < n) {                                                            \
                    v[j] = BIAS[FIRST + col + j];                                               \
                }                                                                             \
            }                                                                                 \
            [[unroll]] for (uint i = 0; i < TM; i++) {                                        \
                accumulator[i * (TN / 4) + q] += v;                                           \
            }                                                                                 \
        }                                                                                     \
    }

// Returns the row of the product that the thread's row i is.
uint row_of_product(Group g, uint i) { return g.m0 + row_of(i / 4) + i % 4; }

// STORE_TILE defines NAME, which writes the tile to matrix part of RESULT, vec4s
// (…, M, N), or adds it there. ROW_AT(g, i) is where the thread's row i goes; m or
// more is nowhere.
#define STORE_TILE(NAME, RESULT, FIRST, ROW_AT)                                               \
    void NAME(Group g, uint part, uint m, uint n, bool add) {                                 \
        [[unroll]] for (uint i = 0; i < TM; i++) {                                            \
            uint row = ROW_AT(g, i);                                                          \
            [[unroll]] for (uint q = 0; q < TN / 4; q++) {                                    \
                uint col = g.n0 + col_of(q);                                                  \
                if (row >= m || col >= n) {                                                   \
                    continue;                                                                 \
                }                                                                             \
                uint at = (part * m + row) * n + col;                                         \
                vec4 v = accumulator[i * (TN / 4) + q];                                       \
                if (n % 4 == 0) {                                                             \
                    RESULT[FIRST + at / 4] = add ? RESULT[FIRST + at / 4] + v : v;            \
                    continue;                                                                 \
                }                                                                             \
                [[unroll]] for (uint j = 0; j < 4; j++) {                                     \
                    uint e = at + j;                                                          \
                    if (col + j < n) {                                                        \
                        RESULT[FIRST + e / 4][e % 4] = add ? RESULT[FIRST + e / 4][e % 4] + v[j] : v[j]; \
                    }                                                                         \
                }                                                                             \
            }                                                                                 \
        }                                                                                     \
    }

const uint SPLIT_FAN = 8; // fan of the tree that adds up splits; splitFan on the host

// SUM_PARTS defines sum_parts, which replaces the workgroup's tile by the sum, in
// order, of the tree's parts, matrices in PARTS. It loads all before it uses the
// first.
#define SUM_PARTS(PARTS, FIRST)                                                               \
    void sum_parts(Group g, Tree t, uint m, uint n) {                                         \
        [[unroll]] for (uint i = 0; i < TM; i++) {                                            \
            uint row = row_of_product(g, i);                                                  \
            [[unroll]] for (uint q = 0; q < TN / 4; q++) {                                    \
                uint col = g.n0 + col_of(q);                                                  \
                if (row >= m || col >= n) {                                                   \
                    continue;                                                                 \
                }                                                                             \
                vec4 part[SPLIT_FAN];                                                         \
                [[unroll]] for (uint s = 0; s < SPLIT_FAN; s++) {                             \
                    uint at = ((t.first + min(s, t.count - 1) * t.gap) * m + row) * n + col;  \
                    if (n % 4 == 0) {                                                         \
                        part[s] = PARTS[FIRST + at / 4];                                      \
                        continue;                                                             \
                    }                                                                         \
                    [[unroll]] for (uint j = 0; j < 4; j++) {                                 \
                        uint e = min(at + j, at + n - 1 - col);                               \
                        part[s][j] = PARTS[FIRST + e / 4][e % 4];                             \
                    }                                                                         \
                }                                                                             \
                vec4 sum = part[0];                                                           \
                [[unroll]] for (uint s = 1; s < SPLIT_FAN; s++) {                             \
                    sum += s < t.count ? part[s] : vec4(0.0);                                 \
                }                                                                             \
                accumulator[i * (TN / 4) + q] = sum;                                          \
            }                                                                                 \
        }                                                                                     \
    }

uint tiles_of(uint m, uint n) { return (m + BM - 1) / BM * ((n + BN - 1) / BN); }

// Returns the first counter after those of the splits.
uint free_counter(uint m, uint n) {
    return SUM_SPLITS ? tree_nodes(gl_NumWorkGroups.z, SPLIT_FAN) * tiles_of(m, n) : 0;
}

// Values that a product has in addition to its tile and that are added up with it:
// stored as part part, or replaced by the sum of the tree's parts, like the tile.
void store_beside(Group g, uint part, uint m);
void sum_beside(Group g, Tree t, uint m);

#define NOTHING_BESIDE                                                                        \
    void store_beside(Group g, uint part, uint m) {}                                          \
    void sum_beside(Group g, Tree t, uint m) {}

// WHOLE_TILE defines whole_tile, which reports whether the workgroup holds the
// tile's sum over all of K: each does without splits; with splits, only the last
// one to arrive does, after adding up the others in PARTS.
#define WHOLE_TILE(PARTS, FIRST_PART, COUNTERS, FIRST_COUNTER)                                \
    LAST_GROUP(COUNTERS, FIRST_COUNTER)                                                       \
    STORE_TILE(store_part, PARTS, FIRST_PART, row_of_product)                                 \
    SUM_PARTS(PARTS, FIRST_PART)                                                              \
    bool whole_tile(Group g, uint m, uint n) {                                                \
        if (!SUM_SPLITS) {                                                                    \
            return true;                                                                      \
        }                                                                                     \
        Tree t = tree_of(g.split, gl_NumWorkGroups.z, g.tile);                                \
        while (t.nodes > 1) {                                                                 \
            store_part(g, part_of(t), m, n, false);                                           \
            store_beside(g, part_of(t), m);                                                   \
            if (!climb(t, SPLIT_FAN, tiles_of(m, n))) {                                       \
                return false;                                                                 \
            }                                                                                 \
            sum_parts(g, t, m, n);                                                            \
            sum_beside(g, t, m);                                                              \
        }                                                                                     \
        return true;                                                                          \
    }

#endif
