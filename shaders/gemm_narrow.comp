#version 450
#extension GL_GOOGLE_include_directive : require
// C = A·Bᵀ [+ Bias] for a C with few columns, such as the logits of a classifier,
// and on request their cross-entropy. A workgroup computes few rows of C, so that
// even a small batch keeps many workgroups busy; several threads share the K of a
// column. The last workgroup computes the mean of the losses.
#include "bfloat16.glsl"
#include "common.glsl"
#include "last_group.glsl"

layout(constant_id = 1) const uint ROWS = 1; // per workgroup
layout(constant_id = 2) const bool WITH_LOSS = false;
layout(constant_id = 3) const bool WITH_DLOGITS = false;
layout(constant_id = 4) const bool WITH_PROBS = false;
layout(constant_id = 5) const bool WITH_SAMPLE_LOSSES = false;
layout(constant_id = 6) const bool MIXED = false; // round both factors to bfloat16

const uint COLUMNS = 16;              // most columns of C; narrowColumns on the host
const uint LANES = THREADS / COLUMNS; // threads per column, a power of two

layout(push_constant) uniform Push {
    uint samples, classes; // the extents of C
    uint slots, prob_rows, sample_rows;
    float on, off; // as in softmax_cross_entropy.comp
    uint quads;    // K/4
    uint with_bias;
    uint bias_at, labels_at, state_at, loss_at, correct_at;
    uint losses_at, counters_at;
};
layout(binding = 0) readonly buffer A { vec4 a[]; };               // (samples, K)
layout(binding = 1) readonly buffer B { vec4 b[]; };               // (classes, K)
layout(binding = 2) writeonly buffer C { float c_of[]; };          // (samples, classes)
layout(binding = 3) writeonly buffer DLogits { float dlogits[]; }; // (samples, classes)
layout(binding = 4) writeonly buffer Probs { float probs[]; };     // (prob_rows, classes)
layout(binding = 5) readonly buffer Bias { float bias[]; };        // (classes)
layout(binding = 5) readonly buffer Labels { uint labels[]; };     // (samples)
layout(binding = 5) readonly buffer State { uint state[]; };       // kernels.State
layout(binding = 5) writeonly buffer Loss { float loss[]; };       // (slots)
layout(binding = 5) writeonly buffer Correct { uint correct[]; };  // (slots)
layout(binding = 6) coherent buffer Losses { uvec2 losses[]; };    // (samples): bits of the loss, 1 if correct
layout(binding = 6) coherent buffer Counters { uint counters[]; }; // (1)
layout(binding = 7) writeonly buffer SampleLosses { float sample_losses[]; }; // (sample_rows)

LAST_GROUP(counters, counters_at)

shared float sums[ROWS * THREADS]; // [row][column][lane]

uint first_row() { return group_index() * ROWS; }

float logit(uint n, uint c) { return sums[((n - first_row()) * COLUMNS + c) * LANES]; }

#include "cross_entropy.glsl"

vec4 factor(vec4 v) { return MIXED ? round_bfloat16(v) : v; }

// Computes the products of the workgroup's rows, in lane 0 of sums.
void multiply() {
    uint lane = gl_LocalInvocationID.x % LANES, col = gl_LocalInvocationID.x / LANES;
    vec4 sum[ROWS];
    [[unroll]] for (uint r = 0; r < ROWS; r++) {
        sum[r] = vec4(0.0);
    }
    for (uint q = lane; q < quads; q += LANES) {
        vec4 v = factor(b[min(col, classes - 1) * quads + q]);
        [[unroll]] for (uint r = 0; r < ROWS; r++) {
            sum[r] += factor(a[min(first_row() + r, samples - 1) * quads + q]) * v;
        }
    }
    uint at = col * LANES + lane;
    [[unroll]] for (uint r = 0; r < ROWS; r++) {
        sums[r * THREADS + at] = (sum[r].x + sum[r].y) + (sum[r].z + sum[r].w);
    }
    barrier();
    for (uint half_width = LANES / 2; half_width > 0; half_width /= 2) {
        [[unroll]] for (uint r = 0; r < ROWS; r++) {
            if (lane < half_width) {
                sums[r * THREADS + at] += sums[r * THREADS + at + half_width];
            }
        }
        barrier();
    }
}

void main() {
    if (first_row() >= samples) {
        return;
    }
    multiply();
    uint t = gl_LocalInvocationID.x;
    for (uint e = t; e < ROWS * COLUMNS; e += THREADS) {
        uint n = first_row() + e / COLUMNS, col = e % COLUMNS;
        if (n < samples && col < classes) {
            float v = sums[e * LANES] + (with_bias != 0 ? bias[bias_at + col] : 0.0);
            sums[e * LANES] = v;
            c_of[n * classes + col] = v;
        }
    }
    if (!WITH_LOSS) {
        return;
    }
    barrier();
    uint hits = 0;
    if (t < ROWS && first_row() + t < samples) {
        float own = sample_loss(first_row() + t, hits);
        losses[losses_at + first_row() + t] = uvec2(floatBitsToUint(own), hits);
    }
    if (!is_last_group(0, (samples + ROWS - 1) / ROWS)) {
        return;
    }
    hits = 0;
    float total = 0.0;
    for (uint n = t; n < samples; n += THREADS) { // in the same order as softmax_cross_entropy
        total += uintBitsToFloat(losses[losses_at + n].x);
        hits += losses[losses_at + n].y;
    }
    store_loss(total, hits);
}
