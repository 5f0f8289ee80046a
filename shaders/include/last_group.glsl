// The last of several workgroups to arrive combines the parts of all of them, so
// that this needs no second dispatch. Which workgroup is last varies from run to
// run; the result does not, because the parts are combined in order. Parts must be
// in coherent buffers.
//
// Many parts are combined as a tree: the last of every fan neighbours combines
// those and then represents them at the next level. So no workgroup reads many
// parts one after the other, and several read at the same time.
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
