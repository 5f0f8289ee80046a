#version 450
#extension GL_GOOGLE_include_directive : require
// DX = DY·(Φ(X) + X·φ(X)). One element per thread; DX may be DY.
#include "gelu.glsl"

layout(push_constant) uniform Push { uint len; };
layout(binding = 0) readonly buffer X { float x[]; };
layout(binding = 1) readonly buffer DY { float dy[]; };
layout(binding = 2) writeonly buffer DX { float dx[]; };

void main() {
    uint i = thread_index();
    if (i < len) {
        float e;
        float cdf = normal_cdf(x[i], e);
        dx[i] = dy[i] * (cdf + x[i] * e * PER_ROOT_2_PI);
    }
}
