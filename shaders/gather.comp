#version 450
#extension GL_GOOGLE_include_directive : require
// Assembles a batch from the resident images: sample i is image
// order[cursor + i], its pixels normalised by a table. One pixel a thread.
// Bytes are read as words, which needs no 8-bit storage.
#include "common.glsl"
#include "state.glsl"

layout(push_constant) uniform Push { uint samples, pixels, entries; }; // pixels of an image, entries of order
layout(binding = 0) readonly buffer Images { uint images[]; }; // (M, pixels) bytes
layout(binding = 1) readonly buffer Labels { uint labels[]; }; // (M) bytes
layout(binding = 2) readonly buffer Order { uint order[]; };   // (entries)
layout(binding = 3) readonly buffer State { uint state[]; };   //
layout(binding = 4) readonly buffer Table { float table[]; };  // (256)
layout(binding = 5) writeonly buffer X { float x[]; };         // (samples, pixels)
layout(binding = 6) writeonly buffer Y { uint y[]; };          // (samples)

// Byte i of little-endian words.
uint byte_of(uint word, uint i) { return bitfieldExtract(word, int(8 * (i % 4)), 8); }

void main() {
    uint e = thread_index();
    if (e >= samples * pixels) {
        return;
    }
    uint i = e / pixels, pixel = e % pixels;
    uint image = order[min(state[STATE_CURSOR] + i, entries - 1)];
    uint at = image * pixels + pixel;
    x[e] = table[byte_of(images[at / 4], at)];
    if (pixel == 0) {
        y[i] = byte_of(labels[image / 4], image);
    }
}
