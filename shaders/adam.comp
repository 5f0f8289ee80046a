#version 450
#extension GL_GOOGLE_include_directive : require
// One step of Adam with PyTorch's L2 weight decay, four parameters a thread:
//   g = grad + weight_decay·param
//   m = β₁·m + (1−β₁)·g;  v = β₂·v + (1−β₂)·g²
//   param −= (lr/c₁) · m / (√v/√c₂ + ε)
#include "common.glsl"
#include "state.glsl"

layout(push_constant) uniform Push {
    uint len;
    float beta1, one_minus_beta1, beta2, one_minus_beta2, eps, weight_decay;
};
layout(binding = 0) buffer Param { vec4 param[]; };
layout(binding = 1) readonly buffer Grad { vec4 grad[]; };
layout(binding = 2) buffer M { vec4 m[]; };
layout(binding = 3) buffer V { vec4 v[]; };
layout(binding = 4) readonly buffer State { uint state[]; };
layout(binding = 5) readonly buffer LearningRates { float rates[]; };

void main() {
    uint i = thread_index();
    if (4 * i >= len) {
        return;
    }
    float c1 = uintBitsToFloat(state[STATE_BIAS_CORRECTION_1]);
    float c2 = uintBitsToFloat(state[STATE_BIAS_CORRECTION_2]);
    float rate = rates[state[STATE_SLOT]] / c1, root_c2 = sqrt(c2);

    vec4 p = param[i];
    vec4 g = grad[i] + weight_decay * p;
    vec4 mean = beta1 * m[i] + one_minus_beta1 * g;
    vec4 square = beta2 * v[i] + one_minus_beta2 * (g * g);
    p -= rate * mean / (sqrt(square) / root_c2 + eps);
    if (4 * i + 4 <= len) {
        param[i] = p;
        m[i] = mean;
        v[i] = square;
        return;
    }
    for (uint j = 0; j < len % 4; j++) {
        param[i][j] = p[j];
        m[i][j] = mean[j];
        v[i][j] = square[j];
    }
}
