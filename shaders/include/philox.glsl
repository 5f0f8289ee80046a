// Philox4x32-10 (Salmon et al., SC11), bit for bit as kernels.Philox4x32.
#ifndef PHILOX_GLSL
#define PHILOX_GLSL

const uint PURPOSE_DROPOUT = 1;
const uint PURPOSE_AUGMENT = 1u << 16;

uvec4 philox4x32(uvec4 counter, uvec2 key) {
    for (int round = 0; round < 10; round++) {
        uint hi0, lo0, hi1, lo1;
        umulExtended(0xD2511F53u, counter.x, hi0, lo0);
        umulExtended(0xCD9E8D57u, counter.z, hi1, lo1);
        counter = uvec4(hi1 ^ counter.y ^ key.x, lo1, hi0 ^ counter.w ^ key.y, lo0);
        key += uvec2(0x9E3779B9u, 0xBB67AE85u);
    }
    return counter;
}

#endif
