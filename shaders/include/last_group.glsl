// The last of several workgroups to arrive finishes what all of them have
// begun, so that a result in parts needs no second dispatch to put it
// together. Which group that is varies from run to run; what it computes from
// the parts, in their order, does not. Parts must be in coherent buffers.
#ifndef LAST_GROUP_GLSL
#define LAST_GROUP_GLSL

shared bool last_group;

// LAST_GROUP defines is_last_group(counter, groups): whether this workgroup is
// the last of so many to arrive at a counter of COUNTERS, which starts at 0
// and is 0 again afterwards. All invocations must call it.
#define LAST_GROUP(COUNTERS)                                                   \
    bool is_last_group(uint counter, uint groups) {                            \
        memoryBarrierBuffer(); /* each invocation's parts before the arrival */ \
        barrier();                                                             \
        if (gl_LocalInvocationID.x == 0) {                                     \
            memoryBarrierBuffer();                                             \
            last_group = atomicAdd(COUNTERS[counter], 1) == groups - 1;        \
            if (last_group) {                                                  \
                COUNTERS[counter] = 0;                                         \
            }                                                                  \
        }                                                                      \
        barrier();                                                             \
        memoryBarrierBuffer(); /* the others' parts after it */                \
        return last_group;                                                     \
    }

#endif
