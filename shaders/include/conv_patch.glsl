// The patch matrix of a convolution, (N·OH·OW, KH·KW·I), gathered from X on the
// fly. The including shader binds X as vec4 x[].
#ifndef CONV_PATCH_GLSL
#define CONV_PATCH_GLSL

#include "conv_shape.glsl"

// Returns element (pixel, tap) for pixel (n, oh, ow), 0 in the padding.
float patch_element(uint n, uint oh, uint ow, uint tap) {
    uint h = oh * STRIDE + tap / (KW * I) - PAD; // wraps around above the image
    uint w = ow * STRIDE + tap / I % KW - PAD;
    if (tap >= TAPS || h >= H || w >= W) {
        return 0.0;
    }
    uint at = ((n * H + h) * W + w) * I + tap % I;
    return x[at / 4][at % 4];
}

// Returns elements (pixel, tap..tap+3).
vec4 patch_quad(uint n, uint oh, uint ow, uint tap) {
    if (I % 4 != 0) {
        return vec4(patch_element(n, oh, ow, tap), patch_element(n, oh, ow, tap + 1),
                    patch_element(n, oh, ow, tap + 2), patch_element(n, oh, ow, tap + 3));
    }
    uint h = oh * STRIDE + tap / (KW * I) - PAD;
    uint w = ow * STRIDE + tap / I % KW - PAD;
    if (tap >= TAPS || h >= H || w >= W) {
        return vec4(0.0);
    }
    return x[(((n * H + h) * W + w) * I + tap % I) / 4];
}

// Returns block (pixel..pixel+3, tap..tap+3) of a matrix with pixels rows;
// block[i] is row pixel+i.
mat4 patch_block(uint pixels, uint pixel, uint tap) {
    uint ow = pixel % OW, oh = pixel / OW % OH, n = pixel / (OW * OH);
    mat4 block = mat4(0.0);
    [[unroll]] for (uint i = 0; i < 4; i++) {
        if (pixel + i < pixels) {
            block[i] = patch_quad(n, oh, ow, tap);
        }
        ow++;
        if (ow == OW) {
            ow = 0;
            oh++;
        }
        if (oh == OH) {
            oh = 0;
            n++;
        }
    }
    return block;
}

#endif
