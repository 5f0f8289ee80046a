// The geometry of batch-norm followed by ReLU and pooling: X (N, H, W, C), and
// Y (N, OH, OW, C) from SIZE×SIZE windows without overlap. SIZE 1 without ReLU is
// batch-norm alone.
#ifndef BATCHNORM_WINDOW_GLSL
#define BATCHNORM_WINDOW_GLSL

const uint OH = H / SIZE;
const uint OW = W / SIZE;

// Returns the pixel of X at a position in a window.
uint pixel_of(uint window, uint position) {
    if (SIZE == 1) {
        return window;
    }
    uint ow = window % OW, oh = window / OW % OH, n = window / (OW * OH);
    return (n * H + oh * SIZE + position / SIZE) * W + ow * SIZE + position % SIZE;
}

#endif
