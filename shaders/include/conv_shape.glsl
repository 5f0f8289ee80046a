// The shape of a convolution. Its extents are constants, so that the compiler
// can replace the divisions in index arithmetic by multiplications.
#ifndef CONV_SHAPE_GLSL
#define CONV_SHAPE_GLSL

layout(constant_id = 10) const uint H = 1; // X is (N, H, W, I)
layout(constant_id = 11) const uint W = 1;
layout(constant_id = 12) const uint I = 1;
layout(constant_id = 13) const uint O = 1; // W is (O, KH, KW, I)
layout(constant_id = 14) const uint KH = 1;
layout(constant_id = 15) const uint KW = 1;
layout(constant_id = 16) const uint STRIDE = 1;
layout(constant_id = 17) const uint PAD = 0;
const uint OH = (H + 2 * PAD - KH) / STRIDE + 1; // Y is (N, OH, OW, O)
const uint OW = (W + 2 * PAD - KW) / STRIDE + 1;
const uint TAPS = KH * KW * I; // elements of a patch

#endif
