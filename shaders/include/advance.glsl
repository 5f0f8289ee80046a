// Advances the state to the next step.
#ifndef ADVANCE_GLSL
#define ADVANCE_GLSL

#include "state.glsl"

// c·β + (1−β) with each operation rounded, so that all devices agree.
uint advance(uint bits, float beta, float one_minus_beta) {
    precise float c = uintBitsToFloat(bits) * beta;
    c = c + one_minus_beta;
    return floatBitsToUint(c);
}

// ADVANCE_STATE advances STATE by a step of batch images, in one thread.
#define ADVANCE_STATE(STATE, batch, beta1, rest1, beta2, rest2)                                          \
    STATE[STATE_STEP] += 1;                                                                              \
    STATE[STATE_CURSOR] += batch;                                                                        \
    STATE[STATE_SLOT] += 1;                                                                              \
    STATE[STATE_BIAS_CORRECTION_1] = advance(STATE[STATE_BIAS_CORRECTION_1], beta1, rest1);              \
    STATE[STATE_BIAS_CORRECTION_2] = advance(STATE[STATE_BIAS_CORRECTION_2], beta2, rest2);

#endif
