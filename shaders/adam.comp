#version 450
#extension GL_GOOGLE_include_directive : require
// One step of Adam with PyTorch's L2 weight decay, four parameters per thread:
//   g = grad + weight_decay·param
//   m = β₁·m + (1−β₁)·g;  v = β₂·v + (1−β₂)·g²
//   param −= (lr/c₁) · m / (√v/√c₂ + ε)
// DECOUPLED (AdamW): g = grad, and param is first multiplied by 1 − lr·weight_decay.
// WITH_SHARES: each group of parameters has its share of weight_decay.
// On request the last workgroup advances the state, after all others have read it.
#include "common.glsl"
#include "advance.glsl"
#include "decay.glsl"
#include "last_group.glsl"

layout(constant_id = 1) const bool ADVANCE = false;
layout(constant_id = 2) const bool DECOUPLED = false;
layout(constant_id = 3) const bool WITH_SHARES = false;

layout(push_constant) uniform Push {
    uint len;
    float beta1, one_minus_beta1, beta2, one_minus_beta2, eps, weight_decay;
    uint groups; // workgroups that have parameters
    uint batch;  // of AdvanceState, followed by its constants
    float advance_beta1, advance_rest1, advance_beta2, advance_rest2;
};
layout(binding = 0) buffer Param { vec4 param[]; };
layout(binding = 1) readonly buffer Grad { vec4 grad[]; };
layout(binding = 2) buffer M { vec4 m[]; };
layout(binding = 3) buffer V { vec4 v[]; };
layout(binding = 4) buffer State { uint state[]; };
layout(binding = 5) readonly buffer LearningRates { float rates[]; };
layout(binding = 6) coherent buffer Counters { uint counters[]; }; // (1)
layout(binding = 7) readonly buffer Shares { float shares[]; };

LAST_GROUP(counters, 0)

void update(uint i) {
    if (4 * i >= len) {
        return;
    }
    float c1 = uintBitsToFloat(state[STATE_BIAS_CORRECTION_1]);
    float c2 = uintBitsToFloat(state[STATE_BIAS_CORRECTION_2]);
    float lr = rates[state[STATE_SLOT]], rate = lr / c1, root_c2 = sqrt(c2);
    float decay = WITH_SHARES ? weight_decay * shares[i / (DECAY_GROUP / 4)] : weight_decay;

    vec4 p = param[i], g = grad[i];
    if (DECOUPLED) {
        p *= 1.0 - lr * decay;
    } else {
        g += decay * p;
    }
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

void main() {
    if (group_index() >= groups) {
        return;
    }
    update(thread_index());
    if (ADVANCE && is_last_group(0, groups) && gl_LocalInvocationID.x == 0) {
        ADVANCE_STATE(state, batch, advance_beta1, advance_rest1, advance_beta2, advance_rest2)
    }
}
