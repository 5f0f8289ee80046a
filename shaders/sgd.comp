#version 450
#extension GL_GOOGLE_include_directive : require
// One step of SGD with momentum in PyTorch's form, four parameters per thread:
//   g = grad + weight_decay·param;  m = μ·m + g
//   param −= lr · (g + μ·m where Nesterov, else m; g without momentum)
// WITH_SHARES: each group of parameters has its share of weight_decay.
#include "common.glsl"
#include "decay.glsl"
#include "state.glsl"

layout(constant_id = 1) const bool WITH_MOMENTUM = true;
layout(constant_id = 2) const bool NESTEROV = false;
layout(constant_id = 3) const bool WITH_SHARES = false;

layout(push_constant) uniform Push { uint len; float momentum, weight_decay; };
layout(binding = 0) buffer Param { vec4 param[]; };
layout(binding = 1) readonly buffer Grad { vec4 grad[]; };
layout(binding = 2) readonly buffer State { uint state[]; };
layout(binding = 3) readonly buffer LearningRates { float rates[]; };
layout(binding = 4) buffer M { vec4 m[]; };
layout(binding = 5) readonly buffer Shares { float shares[]; };

void main() {
    uint i = thread_index();
    if (4 * i >= len) {
        return;
    }
    float rate = rates[state[STATE_SLOT]];
    vec4 p = param[i];
    float decay = WITH_SHARES ? weight_decay * shares[i / (DECAY_GROUP / 4)] : weight_decay;
    vec4 g = grad[i] + decay * p;
    vec4 direction = g, velocity = vec4(0.0);
    if (WITH_MOMENTUM) {
        velocity = momentum * m[i] + g;
        direction = NESTEROV ? g + momentum * velocity : velocity;
    }
    p -= rate * direction;
    if (4 * i + 4 <= len) {
        param[i] = p;
        if (WITH_MOMENTUM) {
            m[i] = velocity;
        }
        return;
    }
    for (uint j = 0; j < len % 4; j++) {
        param[i][j] = p[j];
        if (WITH_MOMENTUM) {
            m[i][j] = velocity[j];
        }
    }
}
