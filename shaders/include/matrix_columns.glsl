// Sums over the rows of a workgroup's tile, and over the partial results of several
// tiles, for a batch-norm after or before a product. The including shader first
// declares the constant COLUMN_SUMS: whether it needs them.
#ifndef MATRIX_COLUMNS_GLSL
#define MATRIX_COLUMNS_GLSL

#include "last_group.glsl"

shared vec4 column_sums[COLUMN_SUMS ? THREADS_M * BN / 4 : 1]; // [row of threads][n/4]

// Adds up v over the threads that share a column quad; all of them get the sum.
vec4 sum_rows(uint q, vec4 v) {
    uint col = col_of(q) / 4;
    barrier();
    column_sums[gl_LocalInvocationID.x / THREADS_N * (BN / 4) + col] = v;
    barrier();
    vec4 sum = vec4(0.0);
    for (uint t = 0; t < THREADS_M; t++) {
        sum += column_sums[t * (BN / 4) + col];
    }
    return sum;
}

// Row tiles are combined as a tree, COMBINE_DEPTH threads per column quad; each
// takes COMBINE_AT_ONCE tiles and loads them all before it uses the first.
const uint COMBINE_DEPTH = THREADS / (BN / 4);
const uint COMBINE_AT_ONCE = 4;
const uint COMBINE_FAN = COMBINE_DEPTH * COMBINE_AT_ONCE; // combineFan on the host

// The depth and the column, within the tile, of this thread.
uint combine_depth() { return gl_LocalInvocationID.x / (BN / 4); }
uint combine_col() { return 4 * (gl_LocalInvocationID.x % (BN / 4)); }

// The index of the u-th child of the thread, whether there is one, and its part.
uint combine_child(uint u) { return combine_depth() + u * COMBINE_DEPTH; }
bool has_child(Tree t, uint u) { return combine_depth() < COMBINE_DEPTH && combine_child(u) < t.count; }
uint child_part(Tree t, uint u) { return t.first + min(combine_child(u), t.count - 1) * t.gap; }

shared vec4 depth_sums[COLUMN_SUMS ? THREADS : 1];

// Adds up v over the threads that share a column quad.
vec4 sum_combine_depth(vec4 v) {
    uint t = gl_LocalInvocationID.x;
    barrier();
    depth_sums[t] = v;
    barrier();
    vec4 sum = vec4(0.0);
    for (uint d = 0; d < COMBINE_DEPTH; d++) {
        sum += depth_sums[d * (BN / 4) + t % (BN / 4)];
    }
    return sum;
}

#endif
