#version 450
#extension GL_GOOGLE_include_directive : require
// Mean cross-entropy, correct predictions and, on request, gradient, probabilities
// and each sample's loss of one batch, in one workgroup: a thread takes every THREADS-th
// sample; then the sums of the threads are added up as a tree.
#include "common.glsl"

layout(constant_id = 1) const bool WITH_DLOGITS = true;
layout(constant_id = 2) const bool WITH_PROBS = true;
layout(constant_id = 3) const bool WITH_SAMPLE_LOSSES = true;

layout(push_constant) uniform Push {
    uint samples, classes, slots, prob_rows, sample_rows;
    float on;  // target of the label: 1 − smoothing + smoothing/classes
    float off; // target of every other class: smoothing/classes
    uint labels_at, state_at, loss_at, correct_at;
};
layout(binding = 0) readonly buffer Logits { float logits[]; };    // (samples, classes)
layout(binding = 1) readonly buffer Labels { uint labels[]; };     // (samples)
layout(binding = 1) readonly buffer State { uint state[]; };       // kernels.State
layout(binding = 1) writeonly buffer Loss { float loss[]; };       // (slots)
layout(binding = 1) writeonly buffer Correct { uint correct[]; };  // (slots)
layout(binding = 2) writeonly buffer DLogits { float dlogits[]; }; // (samples, classes)
layout(binding = 3) writeonly buffer Probs { float probs[]; };     // (prob_rows, classes)
layout(binding = 4) writeonly buffer SampleLosses { float sample_losses[]; }; // (sample_rows)

float logit(uint n, uint c) { return logits[n * classes + c]; }

#include "cross_entropy.glsl"

void main() {
    uint hits = 0;
    float total = 0.0;
    for (uint n = gl_LocalInvocationID.x; n < samples; n += THREADS) {
        total += sample_loss(n, hits);
    }
    store_loss(total, hits);
}
