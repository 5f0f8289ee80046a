// The cross-entropy of one sample, and the mean over a batch. The including shader
// declares the constants WITH_DLOGITS, WITH_PROBS and WITH_SAMPLE_LOSSES, the push
// constants samples, classes, slots, prob_rows, sample_rows, on and off, the buffers
// dlogits, probs and sample_losses and, in a shared binding, labels, state, loss and
// correct, and
//   float logit(uint n, uint c)   returns the logit of sample n for class c
#ifndef CROSS_ENTROPY_GLSL
#define CROSS_ENTROPY_GLSL

#include "common.glsl"
#include "state.glsl"

shared float loss_sums[THREADS];
shared uint correct_sums[THREADS];

// Returns the loss of sample n and adds 1 to hits if the prediction is correct.
// On request it writes the gradient, the probabilities and the loss itself.
float sample_loss(uint n, inout uint hits) {
    uint row = n * classes, label = labels[labels_at + n], best = 0;
    float largest = logit(n, 0);
    for (uint c = 1; c < classes; c++) {
        if (logit(n, c) > largest) {
            largest = logit(n, c);
            best = c;
        }
    }
    hits += best == label ? 1 : 0;

    float sum = 0.0;
    for (uint c = 0; c < classes; c++) {
        sum += exp(logit(n, c) - largest);
    }
    float log_sum = log(sum), total = 0.0;
    uint entry = state[state_at + STATE_CURSOR] + n;
    for (uint c = 0; c < classes; c++) {
        float shifted = logit(n, c) - largest;
        float p = exp(shifted) / sum;
        float q = c == label ? on : off;
        total += q > 0.0 ? q * (log_sum - shifted) : 0.0;
        if (WITH_DLOGITS) {
            dlogits[row + c] = (p - q) / float(samples);
        }
        if (WITH_PROBS && entry < prob_rows) {
            probs[entry * classes + c] = p;
        }
    }
    if (WITH_SAMPLE_LOSSES && entry < sample_rows) {
        sample_losses[entry] = total;
    }
    return total;
}

// Adds up the sums of the threads as a tree, and writes the mean loss of the step
// and its number of correct predictions.
void store_loss(float total, uint hits) {
    uint t = gl_LocalInvocationID.x;
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
    uint slot = state[state_at + STATE_SLOT];
    if (t == 0 && slot < slots) {
        loss[loss_at + slot] = loss_sums[0] / float(samples);
        correct[correct_at + slot] = correct_sums[0];
    }
}

#endif
