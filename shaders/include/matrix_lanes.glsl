// The core of matrix_tile.glsl for devices without matrix units: each thread multiplies
// TM rows by TN columns in registers, in float32. In mixed precision the factors are
// rounded on the way to shared memory.
#ifndef MATRIX_LANES_GLSL
#define MATRIX_LANES_GLSL

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

// Shared memory for the parts of row_sums.
void stage_row_part(uint at, vec4 v) { tile_a[at] = v; }
vec4 staged_row_part(uint at) { return tile_a[at]; }

#endif
