// The running maximum of a pooling window for four channels. The first maximum
// wins; the first NaN wins over any number.
#ifndef MAX_WINDOW_GLSL
#define MAX_WINDOW_GLSL

#include "common.glsl"

void take_max(vec4 v, uint position, inout vec4 best, inout uvec4 best_at) {
    [[unroll]] for (uint j = 0; j < 4; j++) {
        if (!is_nan(best[j]) && (v[j] > best[j] || is_nan(v[j]))) {
            best[j] = v[j];
            best_at[j] = position;
        }
    }
}

#endif
