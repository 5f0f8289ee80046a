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
// defines MIXED_CONSTANT, a free number of a constant, and functions:
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

const uint THREADS_M = BM / TM; // THREADS = THREADS_M · THREADS_N
const uint THREADS_N = BN / TN;
const uint QUADS_A = BM * BK / 4; // vec4s of a staged tile
const uint QUADS_B = BN * BK / 4;
const uint LOADS_A = (QUADS_A + THREADS - 1) / THREADS; // vec4s per thread
const uint LOADS_B = (QUADS_B + THREADS - 1) / THREADS;

// A staged tile along K is [m%4][m/4][k/4], so that the threads that read different
// m read neighbours, with one vec4 of padding after two rows; any other is [k][m/4],
// with one after each row. The padding avoids bank conflicts.
const uint PITCH_A = BM / 4 + 1;
const uint PITCH_B = BN / 4 + 1;
const uint SIZE_A = A_ALONG_K ? BM * BK / 4 + BM / 2 : BK * PITCH_A;
const uint SIZE_B = B_ALONG_K ? BN * BK / 4 + BN / 2 : BK * PITCH_B;

shared vec4 tile_a[2 * SIZE_A];
shared vec4 tile_b[2 * SIZE_B];

// Returns the position of a row (of m%4 and m/4) of a tile along K.
uint staged_row(uint row) { return row * (BK / 4) + row / 2; }

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

// Returns the position at which it is staged.
uint staged(uint v, uint width, bool along_k, bool same_k) {
    uint thread = gl_LocalInvocationID.x, quads = BK / 4;
    if (along_k && THREADS % BK == 0) {
        uint m = thread / quads;
        return staged_row(m % 4 * (width / 4) + m / 4) + thread % quads + staged_row(v * (THREADS / BK));
    }
    uvec2 at = place(v, width, along_k, same_k);
    if (along_k) {
        return staged_row(at.x % 4 * (width / 4) + at.x / 4) + at.y / 4;
    }
    return at.y * (width / 4 + 1) + at.x / 4;
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

vec4 factor(vec4 v) { return MIXED ? round_bfloat16(v) : v; }

void stage_tiles(uint step) {
    [[unroll]] for (uint v = 0; v < LOADS_A; v++) {
        vec4 next = MASK_A ? masked(next_a[v], valid_a[v]) : next_a[v];
        if (ROW_SUMS) {
            row_parts[v] += next;
        }
        next = factor(next);
        if (QUADS_A % THREADS == 0 || v * THREADS + gl_LocalInvocationID.x < QUADS_A) {
            tile_a[step * SIZE_A + staged(v, BM, A_ALONG_K, SAME_K_A)] = next;
        }
    }
    [[unroll]] for (uint v = 0; v < LOADS_B; v++) {
        vec4 next = factor(MASK_B ? masked(next_b[v], valid_b[v]) : next_b[v]);
        if (QUADS_B % THREADS == 0 || v * THREADS + gl_LocalInvocationID.x < QUADS_B) {
            tile_b[step * SIZE_B + staged(v, BN, B_ALONG_K, SAME_K_B)] = next;
        }
    }
}

// A thread's rows are quads 4·THREADS_M apart, its columns quads 4·THREADS_N apart,
// so that the threads of a row read neighbouring vec4s.
uint row_of(uint quad) { return 4 * (quad * THREADS_M + gl_LocalInvocationID.x / THREADS_N); }
uint col_of(uint quad) { return 4 * (quad * THREADS_N + gl_LocalInvocationID.x % THREADS_N); }

// Returns vec4 i of four columns of A from k on, for the thread's rows: row i or, if A
// is not along K, quad i % (TM/4) of column k + i / (TM/4). base is the thread's.
vec4 staged_a(uint base, uint k, uint i) {
    return tile_a[base + (A_ALONG_K ? staged_row(i % 4 * (BM / 4) + i / 4 * THREADS_M) + k / 4
                                    : (k + i / (TM / 4)) * PITCH_A + i % (TM / 4) * THREADS_M)];
}

vec4 staged_b(uint base, uint k, uint j) {
    return tile_b[base + (B_ALONG_K ? staged_row(j % 4 * (BN / 4) + j / 4 * THREADS_N) + k / 4
                                    : (k + j / (TN / 4)) * PITCH_B + j % (TN / 4) * THREADS_N)];
}

// Adds the product of four columns of A and rows of B to accumulator.
void multiply_four(uint at_a, uint at_b, uint k) {
    // Every vec4 is loaded where it is first needed: that takes the fewest registers.
    vec4 b[TN];
    [[unroll]] for (uint s = 0; s < TM; s++) {
        vec4 a = staged_a(at_a, k, s);
        [[unroll]] for (uint j = 0; j < TN; j++) {
            if (s == (A_ALONG_K || B_ALONG_K ? 0 : j / (TN / 4) * (TM / 4))) {
                b[j] = staged_b(at_b, k, j);
            }
        }
        [[unroll]] for (uint c = 0; c < 4; c++) {
            uint kk = A_ALONG_K ? c : s / (TM / 4), i = A_ALONG_K ? s : s % (TM / 4) * 4 + c;
            [[unroll]] for (uint q = 0; q < TN / 4; q++) {
                vec4 row = b[kk * (TN / 4) + q];
                if (B_ALONG_K) {
                    row = vec4(b[4 * q][kk], b[4 * q + 1][kk], b[4 * q + 2][kk], b[4 * q + 3][kk]);
                }
                accumulator[i * (TN / 4) + q] += a[c] * row;
            }
        }
    }
}

uint own_a, own_b; // where the thread's first row and column begin in a staged tile

void note_own() {
    uint m = gl_LocalInvocationID.x / THREADS_N, n = gl_LocalInvocationID.x % THREADS_N;
    own_a = A_ALONG_K ? staged_row(m) : m;
    own_b = B_ALONG_K ? staged_row(n) : n;
}

// Adds the product of the staged tiles to accumulator.
void multiply_staged(uint step) {
    uint at_a = step * SIZE_A + own_a, at_b = step * SIZE_B + own_b;
    for (uint k = 0; k < BK; k += UNROLL) {
        [[unroll]] for (uint u = 0; u < UNROLL; u += 4) {
            multiply_four(at_a, at_b, u);
        }
        at_a += A_ALONG_K ? UNROLL / 4 : UNROLL * PITCH_A;
        at_b += B_ALONG_K ? UNROLL / 4 : UNROLL * PITCH_B;
    }
}

// Computes A·B over k in [k0, k1) for the tile at (m0, n0), in accumulator. k0 is a
// multiple of BK, and so is k1 unless it is the end of K.
void multiply_tile(uint m0, uint n0, uint k0, uint k1) {
    [[unroll]] for (uint i = 0; i < TM * TN / 4; i++) {
        accumulator[i] = vec4(0.0);
    }
    if (ROW_SUMS) {
        [[unroll]] for (uint v = 0; v < LOADS_A; v++) {
            row_parts[v] = vec4(0.0);
        }
    }
    note_own();
    begin_tiles(m0, n0, k0);
    load_tiles(m0, n0, k0);
    stage_tiles(0);
    barrier();
    uint step = 0;
    for (uint k = k0 + BK; k < k1; k += BK) {
        load_tiles(m0, n0, k);
        multiply_staged(step);
        step = 1 - step;
        stage_tiles(step);
        barrier(); // all threads have read the one step and written the other
    }
    multiply_staged(step);
    barrier(); // shared memory is free again
}

// Returns, after multiply_tile, the sums over k of rows m0 + 4·quad to m0 + 4·quad + 3
// of A.
vec4 row_sums(uint quad) {
    [[unroll]] for (uint v = 0; v < LOADS_A; v++) {
        if (QUADS_A % THREADS == 0 || v * THREADS + gl_LocalInvocationID.x < QUADS_A) {
            uvec2 at = place_a(v);
            tile_a[at.y * PITCH_A + at.x / 4] = row_parts[v];
        }
    }
    barrier();
    vec4 sum = vec4(0.0);
    for (uint k = 0; k < BK; k++) {
        sum += tile_a[k * PITCH_A + quad];
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
