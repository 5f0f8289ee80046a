#version 450
#extension GL_GOOGLE_include_directive : require
// Assembles a batch from the resident images: sample i is image
// order[cursor + i], changed on request, its pixels normalised by a table for
// each channel. One element per thread. Bytes are read as words, which needs no
// 8-bit storage.
#include "common.glsl"
#include "state.glsl"

layout(constant_id = 1) const bool AUGMENT = false; // enables the three below and erase
layout(constant_id = 2) const bool ROTATE = false;
layout(constant_id = 3) const uint FLIP = 0;
layout(constant_id = 4) const uint CROP = 0;

layout(push_constant) uniform Push {
    uint samples, height, width, channels;
    uint entries; // of order
    uint erase;   // erased if the random word is below this
    uint angles, rectangles;
    uint rotations_at, erasures_at;
};
layout(binding = 0) readonly buffer Images { uint images[]; }; // (M, pixels, channels) bytes
layout(binding = 1) readonly buffer Labels { uint labels[]; }; // (M) bytes
layout(binding = 2) readonly buffer Order { uint order[]; };   // (entries)
layout(binding = 3) readonly buffer State { uint state[]; };   //
layout(binding = 4) readonly buffer Table { float table[]; };  // (channels, 256)
layout(binding = 5) writeonly buffer X { float x[]; };         // (samples, pixels, channels)
layout(binding = 6) writeonly buffer Y { uint y[]; };          // (samples)
layout(binding = 7) readonly buffer Rotations { uint rotations[]; }; // (angles, 2)
layout(binding = 7) readonly buffer Erasures { uint erasures[]; };   // (rectangles)

#include "augment.glsl"

// Returns byte i of little-endian words, given the word that holds it.
uint byte_of(uint word, uint i) { return bitfieldExtract(word, int(8 * (i % 4)), 8); }

void main() {
    uint e = thread_index(), pixels = height * width;
    if (e >= samples * pixels * channels) {
        return;
    }
    uint c = e % channels, pixel = e / channels % pixels, i = e / (channels * pixels);
    uint image = order[min(state[STATE_CURSOR] + i, entries - 1)];
    if (pixel == 0 && c == 0) {
        y[i] = byte_of(labels[image / 4], image);
    }
    if (AUGMENT) {
        ivec2 source = augmented_source(ivec2(pixel / width, pixel % width), i, image, ivec2(height, width), erase);
        if (source.x < 0) {
            x[e] = table[256 * c];
            return;
        }
        pixel = source.x * width + source.y;
    }
    uint at = (image * pixels + pixel) * channels + c;
    x[e] = table[256 * c + byte_of(images[at / 4], at)];
}
