// Shared code of reductions over the rows of a (rows, cols) matrix. A workgroup
// processes COLUMNS neighbouring columns and a chunk of rows, with one thread per
// column, so that loads are contiguous, and THREADS / COLUMNS rows at a time. Sums
// have a fixed order.
#ifndef COLUMN_TILE_GLSL
#define COLUMN_TILE_GLSL

#include "common.glsl"

layout(constant_id = 1) const uint COLUMNS = 32; // a power of two that divides THREADS

const uint DEPTH = THREADS / COLUMNS; // rows read at a time, a power of two

shared float row_sums[THREADS];

// The position of a thread: its chunk, column, first row and end of rows.
struct Lane {
    uint chunk, col, row, row_end;
    bool live; // the column exists
};

// Returns the lane of this thread for a grid of tiles · chunks workgroups.
Lane lane_of(uint rows, uint cols, uint chunk_rows) {
    uint tiles = (cols + COLUMNS - 1) / COLUMNS;
    uint group = group_index();
    Lane lane;
    lane.chunk = group / tiles;
    lane.col = (group % tiles) * COLUMNS + gl_LocalInvocationID.x % COLUMNS;
    lane.row = lane.chunk * chunk_rows + gl_LocalInvocationID.x / COLUMNS;
    lane.row_end = min(rows, (lane.chunk + 1) * chunk_rows);
    lane.live = lane.col < cols && lane.chunk * chunk_rows < rows;
    return lane;
}

// Adds up v over the threads of one column; all of them get the sum.
float sum_depth(float v) {
    uint t = gl_LocalInvocationID.x;
    barrier();
    row_sums[t] = v;
    barrier();
    for (uint half_depth = DEPTH / 2; half_depth > 0; half_depth /= 2) {
        if (t < half_depth * COLUMNS) {
            row_sums[t] += row_sums[t + half_depth * COLUMNS];
        }
        barrier();
    }
    return row_sums[t % COLUMNS];
}

// Reports whether this thread writes its column's result.
bool is_top() { return gl_LocalInvocationID.x < COLUMNS; }

#endif
