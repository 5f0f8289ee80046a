#version 450
#extension GL_GOOGLE_include_directive : require
// Last pass of BatchNormBackward:
// DX = Gamma·InvStd · (DY − DBeta/R − x̂·DGamma/R), x̂ = (X − Mean)·InvStd.
#include "common.glsl"

layout(constant_id = 1) const uint C = 4; // channels

layout(push_constant) uniform Push { uint len; float rows; };
layout(binding = 0) readonly buffer X { vec4 x[]; };            // (rows, C)
layout(binding = 1) readonly buffer DY { vec4 dy[]; };          // (rows, C), may be DX
layout(binding = 2) readonly buffer Gamma { vec4 gamma[]; };    // (C)
layout(binding = 3) readonly buffer Mean { vec4 mean[]; };      // (C)
layout(binding = 4) readonly buffer InvStd { vec4 inv_std[]; }; // (C)
layout(binding = 5) readonly buffer DGamma { vec4 dgamma[]; };  // (C)
layout(binding = 6) readonly buffer DBeta { vec4 dbeta[]; };    // (C)
layout(binding = 7) writeonly buffer DX { vec4 dx[]; };         // (rows, C)

void main() {
    uint i = thread_index();
    if (C % 4 == 0) {
        if (i < len / 4) {
            uint c = i % (C / 4);
            vec4 xhat = (x[i] - mean[c]) * inv_std[c];
            dx[i] = gamma[c] * inv_std[c] * (dy[i] - dbeta[c] / rows - xhat * (dgamma[c] / rows));
        }
        return;
    }
    for (uint e = 4 * i; e < min(4 * i + 4, len); e++) {
        uint c = e % C, v = c / 4, j = c % 4;
        float xhat = (x[e / 4][e % 4] - mean[v][j]) * inv_std[v][j];
        dx[e / 4][e % 4] = gamma[v][j] * inv_std[v][j] *
            (dy[e / 4][e % 4] - dbeta[v][j] / rows - xhat * (dgamma[v][j] / rows));
    }
}
