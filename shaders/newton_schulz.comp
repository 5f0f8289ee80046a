#version 450
#extension GL_GOOGLE_include_directive : require
// P = c·A + b·I and Q = a·I, one element per thread.
#include "common.glsl"

layout(push_constant) uniform Push { uint extent; float on_q, on_p, factor; }; // a, b, c
layout(binding = 0) readonly buffer A { float a[]; };  // (extent, extent)
layout(binding = 1) writeonly buffer P { float p[]; }; // (extent, extent)
layout(binding = 2) writeonly buffer Q { float q[]; }; // (extent, extent)

void main() {
    uint i = thread_index();
    if (i < extent * extent) {
        bool diagonal = i % (extent + 1) == 0;
        p[i] = factor * a[i] + (diagonal ? on_p : 0.0);
        q[i] = diagonal ? on_q : 0.0;
    }
}
