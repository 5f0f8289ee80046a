#version 450
#extension GL_GOOGLE_include_directive : require
// Advances the state to the next step, in one thread.
#include "common.glsl"
#include "advance.glsl"

layout(push_constant) uniform Push { uint batch; float beta1, one_minus_beta1, beta2, one_minus_beta2; };
layout(binding = 0) buffer State { uint state[]; };

void main() {
    if (thread_index() != 0) {
        return;
    }
    ADVANCE_STATE(state, batch, beta1, one_minus_beta1, beta2, one_minus_beta2)
}
