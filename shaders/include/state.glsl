// Positions of the fields of kernels.State in the state tensor.
#ifndef STATE_GLSL
#define STATE_GLSL

const uint STATE_STEP = 0;
const uint STATE_CURSOR = 1;
const uint STATE_SLOT = 2;
const uint STATE_SEED_LOW = 3;
const uint STATE_SEED_HIGH = 4;
const uint STATE_BIAS_CORRECTION_1 = 5;
const uint STATE_BIAS_CORRECTION_2 = 6;
const uint STATE_EPOCH = 7;

#endif
