// Sums over the rows of a workgroup's tile, and over what several tiles have left
// of those: for a batch-norm behind a product, or before it. The including shader
// declares the constant COLUMN_SUMS before: whether they will be called for.
#ifndef MATRIX_COLUMNS_GLSL
#define MATRIX_COLUMNS_GLSL

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

const uint COMBINE_DEPTH = THREADS / (BN / 4); // tiles of rows taken side by side
const uint COMBINE_AT_ONCE = 4;                // and one behind the other

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
