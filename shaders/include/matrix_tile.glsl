// The core of every matrix product: one workgroup computes a BM×BN tile of
// C = A·B. load_a and load_b provide A (M, K) and B (K, N): stored matrices, or the
// patches of a convolution gathered on the fly, so that no patch matrix is stored.
//
// A step of the loop stages BK columns of A and BK rows of B in shared memory, as
// vec4s in the direction in which they are loaded; each thread then multiplies TM
// rows by TN columns in registers. Shared memory holds two steps: while one is
// multiplied, the loads of the next are under way, and one barrier per step is
// enough. Sums run over k in order.
//
// The including shader defines constants: A_ALONG_K and B_ALONG_K, whether
// neighbours in memory differ in k, rather than in m or n, and MASK_A and MASK_B,
// whether load_a and load_b leave it to the caller to clear what is outside. It also
// defines MIXED_CONSTANT, the first free number of a constant, and functions:
//   void begin_a(uint v, uint m, uint kk, uint k0)
//   vec4 load_a(uint v, uint m, uint kk, uint k, out uint valid)
//   void advance()
// and with n begin_b and load_b. load_a returns the thread's vec4 v of the step that
// begins at column k: elements (m, k + kk) to (m, k + kk + 3), or to (m + 3, k + kk).
// Elements beyond the end of K are 0, or valid is 0 instead of ~0. Rows beyond M hold
// anything in memory, since no result depends on them. begin_a notes what does not
// depend on k, and advance is called after the loads of each step. k is the same in
// all threads: what depends on it alone costs no vector arithmetic.
#ifndef MATRIX_TILE_GLSL
#define MATRIX_TILE_GLSL

#include "bfloat16.glsl"
#include "common.glsl"

layout(constant_id = 1) const uint BM = 64; // extents of a tile of C, multiples of TM and TN
layout(constant_id = 2) const uint BN = 64;
layout(constant_id = 3) const uint BK = 16; // step along K, a multiple of 4
layout(constant_id = 4) const uint TM = 8;  // rows and columns per thread,
layout(constant_id = 5) const uint TN = 4;  // multiples of 4
layout(constant_id = 6) const bool SUM_SPLITS = false; // the last workgroup of a tile adds up its splits of K
layout(constant_id = 7) const bool ROW_SUMS = false;   // whether row_sums is needed; A_ALONG_K must then be false
layout(constant_id = 8) const bool WHOLE_K = false;    // K is a multiple of BK
layout(constant_id = 9) const uint UNROLL = 4;         // columns multiplied without a branch, a multiple of 4 that divides BK
layout(constant_id = MIXED_CONSTANT) const bool MIXED = false; // round both factors to bfloat16
layout(constant_id = MIXED_CONSTANT + 1) const uint SUBGROUP_SIZE = 32; // these are for matrix_units.glsl
layout(constant_id = MIXED_CONSTANT + 2) const uint SUBGROUPS_M = 1; // regions of a tile along M
layout(constant_id = MIXED_CONSTANT + 3) const uint UNIT_M = 16;     // shape that the matrix units multiply
layout(constant_id = MIXED_CONSTANT + 4) const uint UNIT_N = 16;
layout(constant_id = MIXED_CONSTANT + 5) const uint UNIT_K = 16;

const uint THREADS_M = BM / TM; // THREADS = THREADS_M · THREADS_N
const uint THREADS_N = BN / TN;
const uint QUADS_A = BM * BK / 4; // vec4s of a staged tile
const uint QUADS_B = BN * BK / 4;
const uint LOADS_A = (QUADS_A + THREADS - 1) / THREADS; // vec4s per thread
const uint LOADS_B = (QUADS_B + THREADS - 1) / THREADS;

vec4 accumulator[TM * TN / 4]; // [row][n/4] of this thread
vec4 next_a[LOADS_A];
vec4 next_b[LOADS_B];
uint valid_a[LOADS_A];
uint valid_b[LOADS_B];
vec4 row_parts[ROW_SUMS ? LOADS_A : 1]; // sums over k of the vec4s of A that this thread stages

// With PER_K threads for each k, all vec4s of a thread can have the same k, unless
// they are along K.
const uint PER_K = THREADS < BK ? 1 : THREADS / BK;
const bool SAME_K_A = THREADS % BK + BM / 4 % PER_K == 0;
const bool SAME_K_B = THREADS % BK + BN / 4 % PER_K == 0;

// Returns where in a tile the thread's vec4 v lies: m or n, and k. width is the
// tile's extent. What depends on the thread is kept apart from what depends on v, a
// constant that becomes part of an address.
uvec2 place(uint v, uint width, bool along_k, bool same_k) {
    uint thread = gl_LocalInvocationID.x, quads = BK / 4;
    if (along_k && THREADS % BK == 0) {
        return uvec2(thread / quads + v * (THREADS / quads), 4 * (thread % quads));
    }
    if (!along_k && same_k) {
        return uvec2(4 * (thread % PER_K) + v * (4 * PER_K), thread / PER_K);
    }
    uint at = min(v * THREADS + thread, width * quads - 1); // surplus threads load the last one too
    return along_k ? uvec2(at / quads, 4 * (at % quads)) : uvec2(4 * (at % (width / 4)), at / (width / 4));
}

uvec2 place_a(uint v) { return place(v, BM, A_ALONG_K, SAME_K_A); }
uvec2 place_b(uint v) { return place(v, BN, B_ALONG_K, SAME_K_B); }

void begin_a(uint v, uint m, uint kk, uint k0);
void begin_b(uint v, uint n, uint kk, uint k0);
vec4 load_a(uint v, uint m, uint kk, uint k, out uint valid);
vec4 load_b(uint v, uint n, uint kk, uint k, out uint valid);
void advance();

// Returns ~0 if k is below the end of K, else 0.
uint in_k(uint k, uint end) { return WHOLE_K || k < end ? ~0u : 0u; }

void begin_tiles(uint m0, uint n0, uint k0) {
    [[unroll]] for (uint v = 0; v < LOADS_A; v++) {
        uvec2 at = place_a(v);
        begin_a(v, m0 + at.x, at.y, k0);
    }
    [[unroll]] for (uint v = 0; v < LOADS_B; v++) {
        uvec2 at = place_b(v);
        begin_b(v, n0 + at.x, at.y, k0);
    }
}

void load_tiles(uint m0, uint n0, uint k) {
    [[unroll]] for (uint v = 0; v < LOADS_A; v++) {
        uvec2 at = place_a(v);
        next_a[v] = load_a(v, m0 + at.x, at.y, k, valid_a[v]);
    }
    [[unroll]] for (uint v = 0; v < LOADS_B; v++) {
        uvec2 at = place_b(v);
        next_b[v] = load_b(v, n0 + at.x, at.y, k, valid_b[v]);
    }
    advance();
}

vec4 masked(vec4 v, uint valid) { return uintBitsToFloat(floatBitsToUint(v) & uvec4(valid)); }

// A thread's rows are quads 4·THREADS_M apart, its columns quads 4·THREADS_N apart,
// so that the threads of a row read neighbouring vec4s.
uint row_of(uint quad) { return 4 * (quad * THREADS_M + gl_LocalInvocationID.x / THREADS_N); }
uint col_of(uint quad) { return 4 * (quad * THREADS_N + gl_LocalInvocationID.x % THREADS_N); }

#ifdef FACTOR
#include "matrix_units.glsl"
#else
#include "matrix_lanes.glsl"
#endif

// Returns, after multiply_tile, the sums over k of rows m0 + 4·quad to m0 + 4·quad + 3
// of A.
vec4 row_sums(uint quad) {
    [[unroll]] for (uint v = 0; v < LOADS_A; v++) {
        if (QUADS_A % THREADS == 0 || v * THREADS + gl_LocalInvocationID.x < QUADS_A) {
            uvec2 at = place_a(v);
            stage_row_part(at.y * (BM / 4) + at.x / 4, row_parts[v]);
        }
    }
    barrier();
    vec4 sum = vec4(0.0);
    for (uint k = 0; k < BK; k++) {
        sum += staged_row_part(k * (BM / 4) + quad);
    }
    return sum;
}

// A grid has one workgroup per tile and split of K.
struct Group {
    uint tile;
    uint m0, n0; // first row and column of the tile
    uint split;
};

// Groups that share rows of A are consecutive, for better cache use.
Group group_of(uint n) {
    uint tiles_n = (n + BN - 1) / BN;
    uint group = group_index();
    return Group(group, group / tiles_n * BM, group % tiles_n * BN, gl_WorkGroupID.z);
}

#endif
