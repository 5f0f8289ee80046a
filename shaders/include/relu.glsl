// max(v, 0), where NaN stays NaN.
#ifndef RELU_GLSL
#define RELU_GLSL

#include "common.glsl"

float relu(float v) { return v > 0.0 || is_nan(v) ? v : 0.0; }

vec4 relu(vec4 v) { return vec4(relu(v.x), relu(v.y), relu(v.z), relu(v.w)); }

#endif
