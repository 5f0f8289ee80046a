#version 450
#extension GL_GOOGLE_include_directive : require
// Mean cross-entropy, correct predictions and, on request, gradient and
// probabilities of one batch, in one workgroup: a thread takes every
// THREADS-th sample, then the threads' sums are added up as a tree.
#include "common.glsl"
#include "state.glsl"

layout(constant_id = 1) const uint WITH_DLOGITS = 1;
layout(constant_id = 2) const uint WITH_PROBS = 1;

layout(push_constant) uniform Push {
    uint samples, classes, slots, prob_rows;
    float on;  // target of the label: 1 − smoothing + smoothing/classes
    float off; // target of every other class: smoothing/classes
};
layout(binding = 0) readonly buffer Logits { float logits[]; };    // (samples, classes)
layout(binding = 1) readonly buffer Labels { uint labels[]; };     // (samples)
layout(binding = 2) readonly buffer State { uint state[]; };       //
layout(binding = 3) writeonly buffer Loss { float loss[]; };       // (slots)
layout(binding = 4) writeonly buffer Correct { uint correct[]; };  // (slots)
layout(binding = 5) writeonly buffer DLogits { float dlogits[]; }; // (samples, classes)
layout(binding = 6) writeonly buffer Probs { float probs[]; };     // (prob_rows, classes)

shared float loss_sums[THREADS];
shared uint correct_sums[THREADS];

// Returns the loss of sample n and counts it in hits if it is predicted right.
float sample_loss(uint n, inout uint hits) {
    uint row = n * classes, label = labels[n], best = 0;
    float largest = logits[row];
    for (uint c = 1; c < classes; c++) {
        if (logits[row + c] > largest) {
            largest = logits[row + c];
            best = c;
        }
    }
    hits += best == label ? 1 : 0;

    float sum = 0.0;
    for (uint c = 0; c < classes; c++) {
        sum += exp(logits[row + c] - largest);
    }
    float log_sum = log(sum), total = 0.0;
    uint prob_row = state[STATE_CURSOR] + n;
    for (uint c = 0; c < classes; c++) {
        float shifted = logits[row + c] - largest;
        float p = exp(shifted) / sum;
        float q = c == label ? on : off;
        total += q > 0.0 ? q * (log_sum - shifted) : 0.0;
        if (WITH_DLOGITS != 0) {
            dlogits[row + c] = (p - q) / float(samples);
        }
        if (WITH_PROBS != 0 && prob_row < prob_rows) {
            probs[prob_row * classes + c] = p;
        }
    }
    return total;
}

void main() {
    uint t = gl_LocalInvocationID.x, hits = 0;
    float total = 0.0;
    for (uint n = t; n < samples; n += THREADS) {
        total += sample_loss(n, hits);
    }
    loss_sums[t] = total;
    correct_sums[t] = hits;
    barrier();
    for (uint half_width = THREADS / 2; half_width > 0; half_width /= 2) {
        if (t < half_width) {
            loss_sums[t] += loss_sums[t + half_width];
            correct_sums[t] += correct_sums[t + half_width];
        }
        barrier();
    }
    uint slot = state[STATE_SLOT];
    if (t == 0 && slot < slots) {
        loss[slot] = loss_sums[0] / float(samples);
        correct[slot] = correct_sums[0];
    }
}
