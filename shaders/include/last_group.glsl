// The last of several workgroups to arrive combines the parts of all of them, so
// that this needs no second dispatch. Which workgroup is last varies from run to
// run; the result does not, because the parts are combined in order. Parts must be
// in coherent buffers.
//
// Many parts are combined as a tree: the last of every fan neighbours combines
// those and then represents them at the next level. So no workgroup reads many
// parts one after the other, and several read at the same time.
//
// Why the last workgroup sees the parts of all, by the memory model of the Vulkan
// specification ("Appendix B: Memory Model"):
//   - Parts are coherent: writes are made available, and reads are made visible, to
//     other workgroups ("Availability, Visibility, and Domain Operations"; without the
//     extension, coherent means the queue family's scope, the shader domain).
//   - A thread's writes of parts come before its memoryBarrierBuffer(), a release and
//     acquire fence at device scope, in program order; barrier() orders the fences of
//     all threads of the workgroup before thread 0's, which again releases
//     ("Synchronizes-With", fences cumulate over barrier()).
//   - Thread 0's atomicAdd, relaxed by itself, follows the fence. Atomics on one
//     counter have a single order, and each reads the one before ("Atomic Operation",
//     "Scoped Modification Order"); an unbroken chain of them is a release sequence.
//     So the arrival that reads groups − 1 reads from that of every other workgroup.
//   - In the last workgroup, barrier() orders the other threads after thread 0, and
//     memoryBarrierBuffer() acquires: every part's write happens before every read of
//     it ("Happens-Before", "Location-Ordered").
//   - The counter goes back to 0 in the thread whose atomicAdd was the last one, so that
//     no other workgroup accesses it until a pipeline barrier of the host has passed.
// What it does not need is progress: no workgroup waits for another. Drivers for which
// it is switched off are in newTarget, in lower.go.
#ifndef LAST_GROUP_GLSL
#define LAST_GROUP_GLSL

shared bool last_group;

// The position of a workgroup in a tree.
struct Tree {
    uint node, nodes; // its node on this level, and the number of nodes there
    uint stride;      // parts under a node (the last may have fewer); a node's result replaces its first part
    uint counter;     // of the first node on the next level
    uint first, gap, count; // the parts to combine: first, first + gap, …
};

// Returns the position of a part on the lowest level.
Tree tree_of(uint part, uint parts, uint counter) { return Tree(part, parts, 1, counter, 0, 0, 0); }

// Returns the part that the node's result replaces.
uint part_of(Tree t) { return t.node * t.stride; }

// Returns the number of inner nodes of a tree; each needs a counter.
uint tree_nodes(uint parts, uint fan) {
    uint nodes = 0;
    while (parts > 1) {
        parts = (parts + fan - 1) / fan;
        nodes += parts;
    }
    return nodes;
}

// LAST_GROUP defines two functions, which all invocations must call.
// is_last_group(counter, groups) reports whether this workgroup is the last of
// groups to arrive at a counter in COUNTERS, which starts and ends at 0. FIRST is
// where the counters begin in their binding.
// climb(t, fan, trees) moves t to the node above and reports whether this workgroup
// is the last to arrive there; trees is the number of trees whose counters are
// interleaved.
#define LAST_GROUP(COUNTERS, FIRST)                                                  \
    bool is_last_group(uint counter, uint groups) {                            \
        memoryBarrierBuffer(); /* own parts before the arrival */              \
        barrier();                                                             \
        if (gl_LocalInvocationID.x == 0) {                                     \
            memoryBarrierBuffer();                                             \
            last_group = atomicAdd(COUNTERS[FIRST + counter], 1) == groups - 1;        \
            if (last_group) {                                                  \
                COUNTERS[FIRST + counter] = 0;                                         \
            }                                                                  \
        }                                                                      \
        barrier();                                                             \
        memoryBarrierBuffer(); /* other parts after it */                      \
        return last_group;                                                     \
    }                                                                          \
    bool climb(inout Tree t, uint fan, uint trees) {                           \
        uint above = t.node / fan;                                             \
        t.first = above * fan * t.stride;                                      \
        t.gap = t.stride;                                                      \
        t.count = min(fan, t.nodes - above * fan);                             \
        uint counter = t.counter + above * trees;                              \
        t.node = above;                                                        \
        t.nodes = (t.nodes + fan - 1) / fan;                                   \
        t.stride *= fan;                                                       \
        t.counter += t.nodes * trees;                                          \
        return is_last_group(counter, t.count);                                \
    }

#endif
