// The pixel of an image that an output pixel copies, bit for bit as in
// kernels.Augment. The including shader declares the constants ROTATE, FLIP and
// CROP, the buffers state, rotations (angles, 2) and erasures (rectangles), and
// the numbers angles and rectangles, and where the tables begin, rotations_at and
// erasures_at.
#ifndef AUGMENT_GLSL
#define AUGMENT_GLSL

#include "philox.glsl"
#include "state.glsl"

const uint FLIP_RANDOM = 1;
const uint FLIP_ALTERNATING = 2;

// Maps a random word to a number below n.
uint below(uint word, uint n) {
    uint high, low;
    umulExtended(word, n, high, low);
    return high;
}

// Returns the pixel (y, x) of an image of size (height, width) that output pixel
// at of sample i copies, or (-1, -1) if there is none. image is the sample's index
// in the dataset.
ivec2 augmented_source(ivec2 at, uint i, uint image, ivec2 size, uint erase) {
    const ivec2 outside = ivec2(-1);
    uvec2 key = uvec2(state[STATE_SEED_LOW], state[STATE_SEED_HIGH]);
    if (erase > 0) {
        uvec4 words = philox4x32(uvec4(1, i, state[STATE_STEP], PURPOSE_AUGMENT), key);
        if (words[0] < erase) {
            uint entry = erasures[erasures_at + below(words[1], rectangles)];
            ivec2 extent = ivec2(entry >> 16, entry & 0xffffu);
            ivec2 corner = ivec2(below(words[2], uint(size.x - extent.x + 1)), below(words[3], uint(size.y - extent.y + 1)));
            if (all(greaterThanEqual(at, corner)) && all(lessThan(at, corner + extent))) {
                return outside;
            }
        }
    }
    uvec4 words = philox4x32(uvec4(0, i, state[STATE_STEP], PURPOSE_AUGMENT), key);
    at += ivec2(below(words[2], 2 * CROP + 1), below(words[3], 2 * CROP + 1)) - int(CROP);
    if (any(lessThan(at, ivec2(0))) || any(greaterThanEqual(at, size))) {
        return outside;
    }
    bool mirrored = FLIP == FLIP_RANDOM && words[1] < 0x80000000u;
    if (FLIP == FLIP_ALTERNATING) {
        uint hash = philox4x32(uvec4(image, 0, 0, PURPOSE_AUGMENT + 1), key)[0];
        mirrored = ((hash ^ state[STATE_EPOCH]) & 1u) != 0;
    }
    if (mirrored) {
        at.y = size.y - 1 - at.y;
    }
    if (!ROTATE) {
        return at;
    }
    uint entry = below(words[0], angles);
    int cosine = int(rotations[rotations_at + 2 * entry]), sine = int(rotations[rotations_at + 2 * entry + 1]);
    ivec2 p = 2 * at - (size - 1); // twice the distance from the centre
    ivec2 source = (cosine * p + sine * ivec2(-p.y, p.x) + (size << 16)) >> 17;
    return any(lessThan(source, ivec2(0))) || any(greaterThanEqual(source, size)) ? outside : source;
}

#endif
