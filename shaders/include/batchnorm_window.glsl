// The geometry of batch-norm with ReLU and pooling behind it: X (N, H, W, C),
// and Y (N, OH, OW, C) of windows of SIZE×SIZE without overlap. SIZE 1 and no
// ReLU is batch-norm alone.
#ifndef BATCHNORM_WINDOW_GLSL
#define BATCHNORM_WINDOW_GLSL

const uint OH = H / SIZE;
const uint OW = W / SIZE;

// Pixel of X at a position in a window.
uint pixel_of(uint window, uint position) {
    if (SIZE == 1) {
        return window;
    }
    uint ow = window % OW, oh = window / OW % OH, n = window / (OW * OH);
    return (n * H + oh * SIZE + position / SIZE) * W + ow * SIZE + position % SIZE;
}

#endif
