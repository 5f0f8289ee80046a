// The last of several workgroups to arrive finishes what all of them have
// begun, so that a result in parts needs no second dispatch to put it
// together. Which group that is varies from run to run; what it computes from
// the parts, in their order, does not. Parts must be in coherent buffers.
//
// Many parts are put together as a tree: the last of every fan neighbours puts
// those together and then arrives for them at the next level. So no workgroup
// reads many parts one behind the other, and several read at the same time.
#ifndef LAST_GROUP_GLSL
#define LAST_GROUP_GLSL

shared bool last_group;

// A workgroup's place in a tree.
struct Tree {
    uint node, nodes; // its node of this level, and their number
    uint stride;      // parts under a node, but the last one; a node's result takes the place of its first
    uint counter;     // of the first node of the next level
    uint first, gap, count; // the parts to put together: first, first + gap …
};

// The place of a part among all, at the bottom.
Tree tree_of(uint part, uint parts, uint counter) { return Tree(part, parts, 1, counter, 0, 0, 0); }

// The part whose place the node's result takes.
uint part_of(Tree t) { return t.node * t.stride; }

// The inner nodes of a tree, each of which needs a counter.
uint tree_nodes(uint parts, uint fan) {
    uint nodes = 0;
    while (parts > 1) {
        parts = (parts + fan - 1) / fan;
        nodes += parts;
    }
    return nodes;
}

// LAST_GROUP defines two functions for all invocations to call.
// is_last_group(counter, groups): whether this workgroup is the last of so many
// to arrive at a counter of COUNTERS, which starts at 0 and is 0 again afterwards.
// climb(t, fan, trees): whether it is the last to arrive at the node above, where
// it then is; the counters of so many trees lie side by side.
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
