// Channels in quads: a thread works on channels 4q..4q+3 of one pixel. If C is a
// multiple of 4, a quad is a vec4 in memory; otherwise its elements are accessed
// one by one, and the last quad of a pixel is short.
//
// The including shader declares the constant C first.
#ifndef CHANNEL_QUAD_GLSL
#define CHANNEL_QUAD_GLSL

const uint QUADS = (C + 3) / 4; // per pixel

// LOAD_QUAD defines TYPE NAME(pixel, q), which reads DATA (pixels, C).
#define LOAD_QUAD(NAME, TYPE, DATA)                              \
    TYPE NAME(uint pixel, uint q) {                              \
        if (C % 4 == 0) {                                        \
            return DATA[pixel * QUADS + q];                      \
        }                                                        \
        TYPE v = TYPE(0);                                        \
        [[unroll]] for (uint j = 0; j < 4; j++) {                \
            uint at = pixel * C + 4 * q + j;                     \
            if (4 * q + j < C) {                                 \
                v[j] = DATA[at / 4][at % 4];                     \
            }                                                    \
        }                                                        \
        return v;                                                \
    }

// STORE_QUAD defines NAME(pixel, q, v), which writes DATA (pixels, C).
#define STORE_QUAD(NAME, TYPE, DATA)                             \
    void NAME(uint pixel, uint q, TYPE v) {                      \
        if (C % 4 == 0) {                                        \
            DATA[pixel * QUADS + q] = v;                         \
            return;                                              \
        }                                                        \
        [[unroll]] for (uint j = 0; j < 4; j++) {                \
            uint at = pixel * C + 4 * q + j;                     \
            if (4 * q + j < C) {                                 \
                DATA[at / 4][at % 4] = v[j];                     \
            }                                                    \
        }                                                        \
    }

#endif
