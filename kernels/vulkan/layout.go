//go:build cgo

package vulkan

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// arenaBytes is the most that buffers share one arena for; a larger buffer has
// an arena of its own. Every device can allocate this much at once.
const arenaBytes = 1 << 30

// span is a range of an arena.
type span struct {
	arena        int
	offset, size int64 // bytes
}

// overlaps reports whether the two spans share a byte.
func (s span) overlaps(o span) bool {
	return s.arena == o.arena && s.offset < o.offset+o.size && o.offset < s.offset+s.size
}

// layout places a plan's buffers in arenas.
type layout struct {
	plan   *kernels.Plan
	spans  []span  // one per buffer of the plan
	arenas []int64 // size of each arena in bytes
}

// newLayout puts each replica's buffers together, in one arena if they fit there, and
// those with small tensors first, such as the parameters with their biases: tensors that
// share a binding (shaders.Buffer) are small and must lie in one arena, near each other.
func newLayout(p *kernels.Plan) layout {
	l := layout{plan: p, spans: make([]span, len(p.Buffers))}
	smallest := smallestTensors(p)
	var order []int
	replicas := map[int]int64{} // bytes of each
	for i, b := range p.Buffers {
		l.spans[i].size = align(int64(b.Len) * int64(b.Type.Size()))
		replicas[b.Replica] += l.spans[i].size
		order = append(order, i)
	}
	slices.SortStableFunc(order, func(i, j int) int {
		return cmp.Or(cmp.Compare(p.Buffers[i].Replica, p.Buffers[j].Replica), cmp.Compare(smallest[i], smallest[j]))
	})
	for at, i := range order {
		size, replica := l.spans[i].size, p.Buffers[i].Replica
		together := size
		if at > 0 && p.Buffers[order[at-1]].Replica != replica {
			together = replicas[replica]
		}
		last := len(l.arenas) - 1
		if last < 0 || l.arenas[last]+together > arenaBytes {
			l.arenas = append(l.arenas, 0)
			last++
		}
		l.spans[i] = span{last, l.arenas[last], size}
		l.arenas[last] += size
	}
	return l
}

// smallestTensors returns the bytes of the smallest tensor in each buffer that an op
// has.
func smallestTensors(p *kernels.Plan) []int {
	smallest := make([]int, len(p.Buffers))
	for i, b := range p.Buffers {
		smallest[i] = b.Len * b.Type.Size()
	}
	for _, s := range p.Sections {
		for _, op := range s.Ops {
			for _, o := range op.Operands() {
				if t := o.Tensor; !t.Absent() {
					smallest[t.Buffer] = min(smallest[t.Buffer], t.Bytes())
				}
			}
		}
	}
	return smallest
}

// scratch returns the index of the arena for intermediate results and counters,
// after those of the plan.
func (l *layout) scratch() int { return len(l.arenas) }

// tensor returns the span of a tensor.
func (l *layout) tensor(t kernels.Tensor) span {
	b := l.spans[t.Buffer]
	return span{b.arena, b.offset + int64(t.Offset)*int64(t.Type.Size()), int64(t.Bytes())}
}

// checked is tensor for a view and a number of bytes that come from a caller.
func (l *layout) checked(t kernels.Tensor, bytes int) (span, error) {
	if t.Absent() || t.Buffer < 0 || t.Buffer >= len(l.plan.Buffers) || t.Offset < 0 ||
		t.Offset+t.Len() > l.plan.Buffers[t.Buffer].Len || t.Type != l.plan.Buffers[t.Buffer].Type {
		return span{}, fmt.Errorf("%v is not a view of the program's buffers", t)
	}
	if bytes != t.Bytes() {
		return span{}, fmt.Errorf("%v of buffer %q has %d bytes, got %d", t, l.plan.Buffers[t.Buffer].Name, t.Bytes(), bytes)
	}
	return l.tensor(t), nil
}

// align rounds bytes up to the alignment of buffers in their arena.
func align(bytes int64) int64 {
	return (bytes + kernels.Alignment - 1) / kernels.Alignment * kernels.Alignment
}
