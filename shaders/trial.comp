#version 450
#extension GL_GOOGLE_include_directive : require
// Reverses numbers through shared memory that has room for as many as there are threads, to
// find out whether a driver compiles shaders for the constants that the host sets.
#include "common.glsl"

layout(binding = 0) writeonly buffer Y { uint y[]; }; // (threads)

shared uint numbers[THREADS];

void main() {
    uint i = gl_LocalInvocationID.x;
    numbers[i] = i;
    barrier();
    y[i] = THREADS << 16 | numbers[THREADS - 1 - i];
}
