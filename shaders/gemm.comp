#version 450
#extension GL_GOOGLE_include_directive : require
// C = op(A)·op(B) [+ Bias] [+ C] for row-major matrices. On request also an
// element-wise op on C, the sums of op(A)'s rows, and, if C is the gradient of a
// batch-norm's output, the sums for that batch-norm's gradient.
#include "common.glsl"
#include "philox.glsl"
#include "relu.glsl"
#include "state.glsl"

layout(constant_id = 10) const bool TRANS_A = false;   // A is stored as (K, M)
layout(constant_id = 11) const bool TRANS_B = false;   // B is stored as (N, K)
layout(constant_id = 12) const bool VECTOR_A = false; // A's stored rows are whole vec4s
layout(constant_id = 13) const bool VECTOR_B = false; // B's stored rows are whole vec4s
layout(constant_id = 14) const uint EPILOGUE = 0;     // the element-wise op: none or one of the following
const uint EPILOGUE_RELU = 1;
const uint EPILOGUE_RELU_DROPOUT = 2;
const uint EPILOGUE_RELU_BACKWARD = 3; // backward of both: C·scale where Output > 0, else 0

const bool A_ALONG_K = !TRANS_A;
const bool B_ALONG_K = TRANS_B;
#define MASK_A (!WHOLE_K)
#define MASK_B (!WHOLE_K)
#define MIXED_CONSTANT 20
#include "matrix_tile.glsl"
#include "matrix_store.glsl"
#include "matrix_row_sums.glsl"

layout(push_constant) uniform Push {
    uint m, n, k;
    uint split_k;    // length of one split of K
    uint with_bias;  // add Bias
    uint accumulate; // add to the old contents of C
    uint threshold, layer; // of dropout
    float scale;           // of dropout, forward or backward
    uint output_at, norm_y_at;
    uint bias_at, row_sums_at, state_at, norm_mean_at, norm_inv_std_at, dbeta_at, dgamma_at;
    uint parts_at, counters_at, row_parts_at, norm_parts_at;
};
layout(binding = 0) readonly buffer A { vec4 a[]; };
layout(binding = 1) readonly buffer B { vec4 b[]; };
layout(binding = 2) buffer C { vec4 c[]; };                 // (M, N) or (splits, M, N)
#define BN_BINDING 3
#define SMALL 6
#define SCRATCH 7
layout(binding = BN_BINDING + 1) readonly buffer Output { float output_of[]; }; // (M, N), where norm_y is not used
layout(binding = SMALL) readonly buffer Bias { float bias[]; };                 // (N)
layout(binding = SMALL) writeonly buffer RowSums { float row_sums_of[]; };      // (M)
layout(binding = SMALL) readonly buffer State { uint state[]; };
layout(binding = SCRATCH) coherent buffer Parts { vec4 parts[]; };              // (splits, M, N)
layout(binding = SCRATCH) coherent buffer Counters { uint counters[]; };        // (nodes, tiles)
layout(binding = SCRATCH) coherent buffer RowParts { float row_parts_of[]; };   // (splits, M)
#define BN_CONSTANT 15
#define NORM_Y_AT norm_y_at
#include "matrix_gradient_sums.glsl"

// OPERAND defines begin and load (matrix_tile.glsl) of an operand stored in DATA;
// EXTENT is M or N, and BASE[v] where the rows begin, or the columns.
#define OPERAND(DATA, VECTOR, ALONG_K, EXTENT, LOADS, BASE, BEGIN, LOAD)                      \
    uint BASE[LOADS];                                                                         \
    void BEGIN(uint v, uint i, uint kk, uint k0) {                                            \
        uint own = min(i, EXTENT - (VECTOR && !ALONG_K ? 4 : 1));                             \
        BASE[v] = (ALONG_K ? own * k + kk : kk * EXTENT + own) / (VECTOR ? 4 : 1);            \
    }                                                                                         \
    vec4 LOAD(uint v, uint i, uint kk, uint step, out uint valid) {                           \
        if (VECTOR) {                                                                         \
            valid = in_k(step + kk, k);                                                       \
            return DATA[(BASE[v] + (ALONG_K ? step / 4 : step * (EXTENT / 4))) & valid];      \
        }                                                                                     \
        valid = ~0u;                                                                          \
        vec4 quad;                                                                            \
        [[unroll]] for (uint j = 0; j < 4; j++) {                                             \
            uint inside = in_k(step + kk + (ALONG_K ? j : 0), k);                             \
            uint at = BASE[v] + (ALONG_K ? step + j : step * EXTENT + (i + j < EXTENT ? j : 0)); \
            at &= inside;                                                                     \
            quad[j] = uintBitsToFloat(floatBitsToUint(DATA[at / 4][at % 4]) & inside);        \
        }                                                                                     \
        return quad;                                                                          \
    }
OPERAND(a, VECTOR_A, A_ALONG_K, m, LOADS_A, base_a, begin_a, load_a)
OPERAND(b, VECTOR_B, B_ALONG_K, n, LOADS_B, base_b, begin_b, load_b)
void advance() {}
ADD_BIAS(bias, bias_at)
STORE_TILE(store_tile, c, 0, row_of_product)
WHOLE_TILE(parts, parts_at, counters, counters_at)
ROWS_BESIDE(row_parts_of, row_parts_at)
STORE_ROWS(store_row_sums, row_sums_of, row_sums_at)
TAKE_GRADIENT_SUMS

// Applies the element-wise op to elements (row, col) to (row, col + 3) of C.
vec4 epilogue(vec4 v, uint row, uint col) {
    if (EPILOGUE == EPILOGUE_RELU_BACKWARD) {
        [[unroll]] for (uint j = 0; j < 4; j++) {
            v[j] = row < m && col + j < n && output_of[output_at + row * n + col + j] > 0.0 ? v[j] * scale : 0.0;
        }
        return v;
    }
    v = relu(v);
    if (EPILOGUE == EPILOGUE_RELU_DROPOUT) { // as in dropout.comp
        uvec4 words = philox4x32(uvec4(col / 4, row, state[state_at + STATE_STEP], PURPOSE_DROPOUT + layer),
                                 uvec2(state[state_at + STATE_SEED_LOW], state[state_at + STATE_SEED_HIGH]));
        v = mix(v * scale, vec4(0.0), lessThan(words, uvec4(threshold)));
    }
    return v;
}

void apply_epilogue(Group g) {
    [[unroll]] for (uint i = 0; i < TM; i++) {
        [[unroll]] for (uint q = 0; q < TN / 4; q++) {
            uint at = i * (TN / 4) + q;
            accumulator[at] = epilogue(accumulator[at], g.m0 + row_of(i / 4) + i % 4, g.n0 + col_of(q));
        }
    }
}

void main() {
    Group g = group_of(n);
    if (g.m0 >= m) {
        return;
    }
    multiply_tile(g.m0, g.n0, g.split * split_k, min(k, (g.split + 1) * split_k));
    take_row_sums(g);
    if (!whole_tile(g, m, n)) {
        return;
    }
    uint part = SUM_SPLITS ? 0 : g.split;
    store_row_sums(g, part, m);
    if (with_bias != 0) {
        add_bias(g, n);
    }
    if (EPILOGUE != 0) {
        apply_epilogue(g);
    }
    store_tile(g, part, m, n, accumulate != 0);
    if (GRADIENT_SUMS) {
        take_gradient_sums(g, free_counter(m, n), m, n);
    }
}
