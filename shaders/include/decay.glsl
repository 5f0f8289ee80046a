#ifndef DECAY_GLSL
#define DECAY_GLSL

const uint DECAY_GROUP = 64; // parameters that share a weight decay: kernels.DecayGroup

#endif
