#version 450
#extension GL_GOOGLE_include_directive : require
// Moves the state on to the next step; one thread.
#include "common.glsl"
#include "state.glsl"

layout(push_constant) uniform Push { uint batch; float beta1, one_minus_beta1, beta2, one_minus_beta2; };
layout(binding = 0) buffer State { uint state[]; };

// c·β + (1−β), each operation rounded, so that every device agrees.
uint advance(uint bits, float beta, float one_minus_beta) {
    precise float c = uintBitsToFloat(bits) * beta;
    c = c + one_minus_beta;
    return floatBitsToUint(c);
}

void main() {
    if (thread_index() != 0) {
        return;
    }
    state[STATE_STEP] += 1;
    state[STATE_CURSOR] += batch;
    state[STATE_SLOT] += 1;
    state[STATE_BIAS_CORRECTION_1] = advance(state[STATE_BIAS_CORRECTION_1], beta1, one_minus_beta1);
    state[STATE_BIAS_CORRECTION_2] = advance(state[STATE_BIAS_CORRECTION_2], beta2, one_minus_beta2);
}
