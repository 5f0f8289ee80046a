// The logistic function σ(x), and 1 − σ(x), both from exp(−|x|): it cannot
// overflow, and no nearly equal numbers are subtracted.
#ifndef SILU_GLSL
#define SILU_GLSL

#include "common.glsl"

float sigmoid(float x, out float rest) {
    float e = exp(-abs(x));
    float d = 1.0 / (1.0 + e);
    rest = x < 0.0 ? d : e * d;
    return x < 0.0 ? e * d : d;
}

#endif
