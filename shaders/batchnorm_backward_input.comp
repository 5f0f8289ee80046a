#version 450
#extension GL_GOOGLE_include_directive : require
// Last pass of batch-norm's gradient, including that of ReLU and pooling:
// DX = Gamma·InvStd · (G − DBeta/R − x̂·DGamma/R), x̂ = (X − Mean)·InvStd.
// Four channels of a pixel per thread; DX may be X, or DY without pooling.
#include "common.glsl"

layout(constant_id = 1) const uint H = 1;
layout(constant_id = 2) const uint W = 1;
layout(constant_id = 3) const uint C = 1;
layout(constant_id = 4) const uint SIZE = 1;
layout(constant_id = 5) const bool WITH_RELU = false;

layout(push_constant) uniform Push {
    uint pixels; // R = N·H·W
    uint gamma_at, mean_at, inv_std_at, dgamma_at, dbeta_at;
};
layout(binding = 0) readonly buffer X { vec4 x[]; };            // (N, H, W, C)
layout(binding = 1) readonly buffer Y { vec4 y[]; };            // (N, OH, OW, C)
layout(binding = 2) readonly buffer DY { vec4 dy[]; };          // (N, OH, OW, C)
layout(binding = 3) readonly buffer Index { uvec4 index[]; };   // (N, OH, OW, C)
layout(binding = 4) writeonly buffer DX { vec4 dx[]; };         // (N, H, W, C)
layout(binding = 5) readonly buffer Gamma { vec4 gamma[]; };    // (C)
layout(binding = 5) readonly buffer Mean { vec4 mean[]; };      // (C)
layout(binding = 5) readonly buffer InvStd { vec4 inv_std[]; }; // (C)
layout(binding = 5) readonly buffer DGamma { vec4 dgamma[]; };  // (C)
layout(binding = 5) readonly buffer DBeta { vec4 dbeta[]; };    // (C)

#include "batchnorm_window.glsl"
#include "channel_quad.glsl"
LOAD_QUAD(x_quad, vec4, x)
LOAD_QUAD(y_quad, vec4, y)
LOAD_QUAD(dy_quad, vec4, dy)
LOAD_QUAD(index_quad, uvec4, index)
STORE_QUAD(store_dx, vec4, dx)

// Returns G at a pixel: the gradient of its window if its maximum was here.
vec4 gradient(uint pixel, uint q) {
    uint window = pixel;
    bvec4 here = bvec4(true);
    if (SIZE != 1) {
        uint w = pixel % W, h = pixel / W % H, n = pixel / (W * H);
        if (h / SIZE >= OH || w / SIZE >= OW) { // not in a window
            return vec4(0.0);
        }
        window = (n * OH + h / SIZE) * OW + w / SIZE;
        here = equal(index_quad(window, q), uvec4(h % SIZE * SIZE + w % SIZE));
    }
    vec4 g = mix(vec4(0.0), dy_quad(window, q), here);
    return WITH_RELU ? mix(vec4(0.0), g, greaterThan(y_quad(window, q), vec4(0.0))) : g;
}

void main() {
    uint pixel = thread_index() / QUADS, q = thread_index() % QUADS;
    if (pixel >= pixels) {
        return;
    }
    float rows = float(pixels);
    vec4 xhat = (x_quad(pixel, q) - mean[mean_at + q]) * inv_std[inv_std_at + q];
    store_dx(pixel, q, gamma[gamma_at + q] * inv_std[inv_std_at + q] *
                           (gradient(pixel, q) - dbeta[dbeta_at + q] / rows - xhat * (dgamma[dgamma_at + q] / rows)));
}
