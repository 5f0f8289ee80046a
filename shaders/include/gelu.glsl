// Φ(x), the standard normal distribution's cumulative function, and exp(−x²/2)
// on the way. The error function is formula 7.1.26 of Abramowitz & Stegun,
// "Handbook of Mathematical Functions" (1964), with an absolute error of at
// most 1.5e-7; cpuref/gelu.go uses the same.
#ifndef GELU_GLSL
#define GELU_GLSL

#include "common.glsl"

const float PER_ROOT_2 = 0.70710678118654752;
const float PER_ROOT_2_PI = 0.39894228040143268;

float normal_cdf(float x, out float e) {
    float z = abs(x) * PER_ROOT_2;
    e = exp(-z * z);
    float t = 1.0 / (1.0 + 0.3275911 * z);
    float tail = 0.5 * e * t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
    return x < 0.0 ? tail : 1.0 - tail;
}

#endif
