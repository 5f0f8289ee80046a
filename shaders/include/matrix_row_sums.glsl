// The sums of A's rows over k, computed alongside a product: the bias gradient next
// to the weight gradient. The workgroups of the first column of tiles compute them.
#ifndef MATRIX_ROW_SUMS_GLSL
#define MATRIX_ROW_SUMS_GLSL

vec4 row_total; // of the quad of rows with this thread's index

bool has_rows(Group g) { return ROW_SUMS && g.n0 == 0; }

// Computes the workgroup's sums, after multiply_tile. There are more threads than
// quads of rows.
void take_row_sums(Group g) {
    if (has_rows(g)) {
        row_total = row_sums(min(gl_LocalInvocationID.x, BM / 4 - 1));
    }
}

// STORE_ROWS defines NAME, which writes the sums to row part of RESULT (…, M).
#define STORE_ROWS(NAME, RESULT, FIRST)                                                       \
    void NAME(Group g, uint part, uint m) {                                                   \
        uint quad = gl_LocalInvocationID.x;                                                   \
        [[unroll]] for (uint j = 0; j < 4; j++) {                                             \
            uint row = g.m0 + 4 * quad + j;                                                   \
            if (has_rows(g) && quad < BM / 4 && row < m) {                                    \
                RESULT[FIRST + part * m + row] = row_total[j];                                \
            }                                                                                 \
        }                                                                                     \
    }

// ROWS_BESIDE adds up the sums of the splits in PARTS (splits, M) together with
// their tiles.
#define ROWS_BESIDE(PARTS, FIRST)                                                             \
    STORE_ROWS(store_beside, PARTS, FIRST)                                                    \
    void sum_beside(Group g, Tree t, uint m) {                                                \
        if (!has_rows(g)) {                                                                   \
            return;                                                                           \
        }                                                                                     \
        [[unroll]] for (uint j = 0; j < 4; j++) {                                             \
            uint row = min(g.m0 + 4 * gl_LocalInvocationID.x + j, m - 1);                     \
            float sum = PARTS[FIRST + t.first * m + row];                                     \
            [[unroll]] for (uint s = 1; s < SPLIT_FAN; s++) {                                 \
                float part = PARTS[FIRST + (t.first + min(s, t.count - 1) * t.gap) * m + row];\
                sum += s < t.count ? part : 0.0;                                              \
            }                                                                                 \
            row_total[j] = sum;                                                               \
        }                                                                                     \
    }

#endif
