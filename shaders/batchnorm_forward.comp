#version 450
#extension GL_GOOGLE_include_directive : require
// Y = (X − Mean)/√(Var + eps)·Gamma + Beta with the statistics of the batch
// (training) or the running ones (inference), on request followed by pooling and
// ReLU. Four channels of a window per thread. In training the first workgroup also
// saves the inverse deviation and updates the running statistics.
#include "relu.glsl"
#include "max_window.glsl"

layout(constant_id = 1) const uint H = 1;
layout(constant_id = 2) const uint W = 1;
layout(constant_id = 3) const uint C = 1;
layout(constant_id = 4) const uint SIZE = 1;
layout(constant_id = 5) const bool WITH_RELU = false;
layout(constant_id = 6) const bool WITH_INDEX = false;
layout(constant_id = 7) const bool TRAINING = false;

layout(push_constant) uniform Push {
    uint windows;   // N·OH·OW
    float keep;     // 1 − momentum
    float momentum; // of the running statistics
    float eps;      // added to the variance
    float unbias;   // R / (R − 1)
    uint mean_at, gamma_at, beta_at, inv_std_at, running_mean_at, running_var_at;
};
layout(binding = 0) readonly buffer X { vec4 x[]; };                // (N, H, W, C)
layout(binding = 1) readonly buffer Var { vec4 var[]; };            // (C), biased
layout(binding = 2) writeonly buffer Y { vec4 y[]; };               // (N, OH, OW, C)
layout(binding = 3) writeonly buffer Index { uvec4 index[]; };      // (N, OH, OW, C)
layout(binding = 4) readonly buffer Mean { vec4 mean[]; };          // (C)
layout(binding = 4) readonly buffer Gamma { vec4 gamma[]; };        // (C)
layout(binding = 4) readonly buffer Beta { vec4 beta[]; };          // (C)
layout(binding = 4) writeonly buffer InvStd { float inv_std_out[]; }; // (C)
layout(binding = 4) buffer RunningMean { float running_mean[]; };   // (C)
layout(binding = 4) buffer RunningVar { float running_var[]; };     // (C)

#include "batchnorm_window.glsl"
#include "channel_quad.glsl"
LOAD_QUAD(x_quad, vec4, x)
STORE_QUAD(store_y, vec4, y)
STORE_QUAD(store_index, uvec4, index)

void save_statistics() {
    for (uint c = gl_LocalInvocationID.x; c < C; c += THREADS) {
        float v = var[c / 4][c % 4];
        inv_std_out[inv_std_at + c] = 1.0 / sqrt(v + eps);
        uint m = running_mean_at + c, u = running_var_at + c;
        running_mean[m] = keep * running_mean[m] + momentum * mean[mean_at + c / 4][c % 4];
        running_var[u] = keep * running_var[u] + momentum * (v * unbias);
    }
}

void main() {
    if (TRAINING && group_index() == 0) {
        save_statistics();
    }
    uint window = thread_index() / QUADS, q = thread_index() % QUADS;
    if (window >= windows) {
        return;
    }
    vec4 inv_std = 1.0 / sqrt(var[q] + eps);
    vec4 best = (x_quad(pixel_of(window, 0), q) - mean[mean_at + q]) * inv_std * gamma[gamma_at + q] + beta[beta_at + q];
    uvec4 best_at = uvec4(0);
    for (uint p = 1; p < SIZE * SIZE; p++) {
        vec4 v = (x_quad(pixel_of(window, p), q) - mean[mean_at + q]) * inv_std * gamma[gamma_at + q] + beta[beta_at + q];
        take_max(v, p, best, best_at);
    }
    store_y(window, q, WITH_RELU ? relu(best) : best);
    if (WITH_INDEX) {
        store_index(window, q, best_at);
    }
}
