#version 450
#extension GL_GOOGLE_include_directive : require
// C = op(A)·op(B) [+ Bias] [+ C] for row-major matrices.
#include "common.glsl"

layout(constant_id = 6) const uint TRANS_A = 0;    // A is stored (K, M)
layout(constant_id = 7) const uint TRANS_B = 0;    // B is stored (N, K)
layout(constant_id = 8) const uint VECTOR_A = 0;   // A's stored rows are whole vec4s
layout(constant_id = 9) const uint VECTOR_B = 0;   // B's stored rows are whole vec4s

const bool A_ALONG_K = TRANS_A == 0;
const bool B_ALONG_K = TRANS_B != 0;
#include "matrix_tile.glsl"
#include "matrix_store.glsl"

layout(push_constant) uniform Push {
    uint m, n, k;
    uint split_k;    // extent of K of one split
    uint with_bias;  // add Bias
    uint accumulate; // add to what C holds
};
layout(binding = 0) readonly buffer A { vec4 a[]; };
layout(binding = 1) readonly buffer B { vec4 b[]; };
layout(binding = 2) readonly buffer Bias { float bias[]; }; // (N)
layout(binding = 3) buffer C { vec4 c[]; };                 // (M, N) or (splits, M, N)

// LOAD_BLOCK defines NAME(rows, cols, row, col): the 4×4 block of a stored
// (rows, cols) matrix, block[i] its row row+i, 0 outside.
#define LOAD_BLOCK(NAME, DATA, VECTOR)                                              \
    mat4 NAME(uint rows, uint cols, uint row, uint col) {                           \
        mat4 block = mat4(0.0);                                                     \
        [[unroll]] for (uint i = 0; i < 4; i++) {                                   \
            uint at = (row + i) * cols + col;                                       \
            if (VECTOR != 0) {                                                      \
                if (row + i < rows && col < cols) {                                 \
                    block[i] = DATA[at / 4];                                        \
                }                                                                   \
                continue;                                                           \
            }                                                                       \
            [[unroll]] for (uint j = 0; j < 4; j++) {                               \
                if (row + i < rows && col + j < cols) {                             \
                    block[i][j] = DATA[(at + j) / 4][(at + j) % 4];                 \
                }                                                                   \
            }                                                                       \
        }                                                                           \
        return block;                                                               \
    }
LOAD_BLOCK(stored_a, a, VECTOR_A)
LOAD_BLOCK(stored_b, b, VECTOR_B)
ADD_BIAS(bias)
STORE_TILE(c)

mat4 load_a(uint row, uint kk) {
    return TRANS_A != 0 ? stored_a(k, m, kk, row) : transpose(stored_a(m, k, row, kk));
}

mat4 load_b(uint kk, uint col) {
    return TRANS_B != 0 ? transpose(stored_b(n, k, col, kk)) : stored_b(k, n, kk, col);
}

void main() {
    Group g = group_of(n);
    if (g.m0 >= m) {
        return;
    }
    multiply_tile(g.m0, g.n0, g.split * split_k, min(k, (g.split + 1) * split_k));
    if (with_bias != 0) {
        add_bias(g, n);
    }
    store_tile(g, m, n, accumulate != 0);
}
