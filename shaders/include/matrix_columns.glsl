// Sums over the rows of a workgroup's tile, and over what several tiles have left
// of those: for a batch-norm behind a product, or before it. The including shader
// declares the constant COLUMN_SUMS before: whether they will be called for.
#ifndef MATRIX_COLUMNS_GLSL
#define MATRIX_COLUMNS_GLSL

#include "last_group.glsl"

shared vec4 column_sums[COLUMN_SUMS != 0 ? THREADS_M * BN / 4 : 1]; // [row of threads][n/4]

// Adds up v over the threads that hold a column quad; all of them get the sum.
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

// Tiles of rows are put together as a tree, by threads that stand COMBINE_DEPTH
// deep and take COMBINE_AT_ONCE tiles each, all loaded before the first is needed.
const uint COMBINE_DEPTH = THREADS / (BN / 4);
const uint COMBINE_AT_ONCE = 4;
const uint COMBINE_FAN = COMBINE_DEPTH * COMBINE_AT_ONCE; // combineFan on the host

// Position of a thread in that: its depth and its column in the tile.
uint combine_depth() { return gl_LocalInvocationID.x / (BN / 4); }
uint combine_col() { return 4 * (gl_LocalInvocationID.x % (BN / 4)); }

// The u-th of the tree's parts that the thread takes, and whether there is one.
uint combine_child(uint u) { return combine_depth() + u * COMBINE_DEPTH; }
bool has_child(Tree t, uint u) { return combine_depth() < COMBINE_DEPTH && combine_child(u) < t.count; }
uint child_part(Tree t, uint u) { return t.first + min(combine_child(u), t.count - 1) * t.gap; }

shared vec4 depth_sums[COLUMN_SUMS != 0 ? THREADS : 1];

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
