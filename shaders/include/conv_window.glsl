// Which positions of the kernel lie in the image, for the pixel of each vec4 of A
// that a thread loads. The including shader defines CHANNELS, the columns of A per
// position, and the functions in_row and in_column: whether row kh or column kw of
// the kernel lies in the image, for a pixel in the given row or column.
#ifndef CONV_WINDOW_GLSL
#define CONV_WINDOW_GLSL

#include "conv_shape.glsl"

// The columns of A of a step belong to one position of the kernel.
const bool ONE_POSITION = CHANNELS % BK == 0;

bool in_row(uint row, uint kh);
bool in_column(uint column, uint kw);

// Small kernels have a bit per position, and none for the columns beyond K.
const bool AS_BITS = (KH * KW * CHANNELS + BK - 1) / CHANNELS < 32;

uint window_of[AS_BITS ? LOADS_A : 1];
uvec2 pixel_of[AS_BITS ? 1 : LOADS_A];

void note_window(uint v, uint row, uint column) {
    if (!AS_BITS) {
        pixel_of[v] = uvec2(row, column);
        return;
    }
    uint columns = 0;
    [[unroll]] for (uint kw = 0; kw < KW; kw++) {
        columns |= in_column(column, kw) ? 1u << kw : 0;
    }
    window_of[v] = 0;
    [[unroll]] for (uint kh = 0; kh < KH; kh++) {
        window_of[v] |= in_row(row, kh) ? columns << (kh * KW) : 0;
    }
}

// Returns ~0 if a position lies in the image, else 0.
uint in_window(uint v, uint position) {
    if (AS_BITS) {
        return uint(bitfieldExtract(int(window_of[v]), int(position), 1));
    }
    bool inside = position < KH * KW && in_row(pixel_of[v].x, position / KW) && in_column(pixel_of[v].y, position % KW);
    return inside ? ~0u : 0;
}

#endif
