// The core of every matrix product: one workgroup computes a BM×BN tile of
// C = A·B. load_a and load_b provide A (M, K) and B (K, N): stored matrices, or the
// patches of a convolution gathered on the fly, so that no patch matrix is stored.
//
// A step of the loop stages BK columns of A and BK rows of B in shared memory,
// as vec4s over m and n; each thread then multiplies TM rows by TN columns in
// registers. The loads of the next step are issued before that, to hide their
// latency. Sums run over k in order.
//
// The including shader defines
//   mat4 load_a(uint m, uint k)   A[m..m+3, k..k+3], a column per k
//   mat4 load_b(uint k, uint n)   B[k..k+3, n..n+3], a column per k
// which return 0 outside the matrices, and the constants A_ALONG_K and B_ALONG_K:
// whether neighbouring threads should load neighbouring k.
#ifndef MATRIX_TILE_GLSL
#define MATRIX_TILE_GLSL

#include "common.glsl"

layout(constant_id = 1) const uint BM = 64; // extents of a tile of C, multiples of TM and TN
layout(constant_id = 2) const uint BN = 64;
layout(constant_id = 3) const uint BK = 16; // step along K, a multiple of 4
layout(constant_id = 4) const uint TM = 8;  // rows and columns per thread,
layout(constant_id = 5) const uint TN = 4;  // multiples of 4
layout(constant_id = 6) const bool SUM_SPLITS = false; // the last workgroup of a tile adds up its splits of K
layout(constant_id = 7) const bool ROW_SUMS = false;   // whether row_sums is needed; A_ALONG_K must then be false

const uint THREADS_M = BM / TM; // THREADS = THREADS_M · THREADS_N
const uint THREADS_N = BN / TN;
const uint PITCH_A = BM / 4 + 1; // one vec4 of padding avoids bank conflicts
const uint PITCH_B = BN / 4 + 1;
const uint BLOCKS_A = BM * BK / 16; // 4×4 blocks of a staged tile
const uint BLOCKS_B = BN * BK / 16;
const uint LOADS_A = (BLOCKS_A + THREADS - 1) / THREADS; // blocks per thread
const uint LOADS_B = (BLOCKS_B + THREADS - 1) / THREADS;

shared vec4 tile_a[BK * PITCH_A]; // [k][m/4]
shared vec4 tile_b[BK * PITCH_B]; // [k][n/4]

vec4 accumulator[TM * TN / 4]; // [row][n/4] of this thread
mat4 next_a[LOADS_A];
mat4 next_b[LOADS_B];
vec4 row_parts[ROW_SUMS ? LOADS_A : 1]; // sums over k of the blocks of A that this thread stages
shared vec4 row_blocks[ROW_SUMS ? BLOCKS_A : 1];

mat4 load_a(uint m, uint k);
mat4 load_b(uint k, uint n);

// Returns the position (m/4 or n/4, k/4) of a block in a staged tile of width
// vec4s.
uvec2 block_position(uint block, uint width, bool along_k) {
    return along_k ? uvec2(block / (BK / 4), block % (BK / 4)) : uvec2(block % width, block / width);
}

void load_tiles(uint m0, uint n0, uint k) {
    [[unroll]] for (uint l = 0; l < LOADS_A; l++) {
        uint block = l * THREADS + gl_LocalInvocationID.x;
        if (block < BLOCKS_A) {
            uvec2 at = 4 * block_position(block, BM / 4, A_ALONG_K);
            next_a[l] = load_a(m0 + at.x, k + at.y);
        }
    }
    [[unroll]] for (uint l = 0; l < LOADS_B; l++) {
        uint block = l * THREADS + gl_LocalInvocationID.x;
        if (block < BLOCKS_B) {
            uvec2 at = 4 * block_position(block, BN / 4, B_ALONG_K);
            next_b[l] = load_b(k + at.y, n0 + at.x);
        }
    }
}

void stage_tiles() {
    [[unroll]] for (uint l = 0; l < LOADS_A; l++) {
        uint block = l * THREADS + gl_LocalInvocationID.x;
        if (block < BLOCKS_A) {
            uvec2 at = block_position(block, BM / 4, A_ALONG_K);
            [[unroll]] for (uint j = 0; j < 4; j++) {
                tile_a[(4 * at.y + j) * PITCH_A + at.x] = next_a[l][j];
            }
            if (ROW_SUMS) {
                row_parts[l] += (next_a[l][0] + next_a[l][1]) + (next_a[l][2] + next_a[l][3]);
            }
        }
    }
    [[unroll]] for (uint l = 0; l < LOADS_B; l++) {
        uint block = l * THREADS + gl_LocalInvocationID.x;
        if (block < BLOCKS_B) {
            uvec2 at = block_position(block, BN / 4, B_ALONG_K);
            [[unroll]] for (uint j = 0; j < 4; j++) {
                tile_b[(4 * at.y + j) * PITCH_B + at.x] = next_b[l][j];
            }
        }
    }
}

// A thread's rows are quads 4·THREADS_M apart, its columns quads 4·THREADS_N apart,
// so that the threads of a row read neighbouring vec4s.
uint row_of(uint quad) { return 4 * (quad * THREADS_M + gl_LocalInvocationID.x / THREADS_N); }
uint col_of(uint quad) { return 4 * (quad * THREADS_N + gl_LocalInvocationID.x % THREADS_N); }

// Adds the product of the staged tiles to accumulator.
void multiply_staged() {
    for (uint k = 0; k < BK; k++) {
        vec4 a[TM / 4], b[TN / 4];
        [[unroll]] for (uint q = 0; q < TM / 4; q++) {
            a[q] = tile_a[k * PITCH_A + row_of(q) / 4];
        }
        [[unroll]] for (uint q = 0; q < TN / 4; q++) {
            b[q] = tile_b[k * PITCH_B + col_of(q) / 4];
        }
        [[unroll]] for (uint i = 0; i < TM; i++) {
            [[unroll]] for (uint q = 0; q < TN / 4; q++) {
                accumulator[i * (TN / 4) + q] += a[i / 4][i % 4] * b[q];
            }
        }
    }
}

// Computes A·B over k in [k0, k1) for the tile at (m0, n0), in accumulator. k0 is a
// multiple of BK, and so is k1 unless it is the end of K.
void multiply_tile(uint m0, uint n0, uint k0, uint k1) {
    [[unroll]] for (uint i = 0; i < TM * TN / 4; i++) {
        accumulator[i] = vec4(0.0);
    }
    if (ROW_SUMS) {
        [[unroll]] for (uint l = 0; l < LOADS_A; l++) {
            row_parts[l] = vec4(0.0);
        }
    }
    load_tiles(m0, n0, k0);
    for (uint k = k0; k < k1; k += BK) {
        barrier(); // all threads have read the previous step
        stage_tiles();
        barrier();
        if (k + BK < k1) {
            load_tiles(m0, n0, k + BK);
        }
        multiply_staged();
    }
}

// Returns, after multiply_tile, the sums over k of rows m0 + 4·quad to m0 + 4·quad + 3
// of A.
vec4 row_sums(uint quad) {
    [[unroll]] for (uint l = 0; l < LOADS_A; l++) {
        uint block = l * THREADS + gl_LocalInvocationID.x;
        if (block < BLOCKS_A) {
            row_blocks[block] = row_parts[l];
        }
    }
    barrier();
    vec4 sum = vec4(0.0);
    for (uint k = 0; k < BK / 4; k++) {
        sum += row_blocks[k * (BM / 4) + quad];
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
