#ifndef BFLOAT16_GLSL
#define BFLOAT16_GLSL

// Rounds to bfloat16, the upper half of a float, as kernels.RoundBFloat16: to nearest,
// ties to even. NaN stays NaN.
vec4 round_bfloat16(vec4 v) {
    uvec4 bits = floatBitsToUint(v);
    uvec4 nearest = bits + 0x7fffu + (bits >> 16 & 1u);
    bvec4 nan = greaterThan(bits & 0x7fffffffu, uvec4(0x7f800000u));
    return uintBitsToFloat(mix(nearest, bits | 0x00400000u, nan) & 0xffff0000u);
}

#endif
