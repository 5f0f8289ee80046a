//go:build cgo

package vulkan

import (
	"slices"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/shaders"
)

// schedule orders dispatches in levels: each goes to the first level after all
// earlier dispatches that it conflicts with, those with which it shares memory that
// one of them writes. Dispatches of one level may overlap, so only levels need
// barriers between them; in a training step, weight gradients then run alongside
// activation gradients, and replicas alongside each other.
func schedule(dispatches []dispatch) [][]dispatch {
	var levels [][]dispatch
	h := newHistory(dispatches)
	for _, d := range dispatches {
		level := 0
		for _, a := range d.args {
			for _, u := range h.of(a.span) {
				level = max(level, u.written)
				if a.access&kernels.Write != 0 {
					level = max(level, u.read)
				}
			}
		}
		if level == len(levels) {
			levels = append(levels, nil)
		}
		levels[level] = append(levels[level], d)
		for _, a := range d.args {
			h.note(a, level+1)
		}
	}
	return levels
}

// history says in which levels memory is used. It cuts each arena where a dispatch's
// span begins or ends.
type history struct {
	cuts map[int][]int64 // by arena, sorted
	uses map[int][]use   // by arena, from each cut to the next
}

// use holds the first levels after those that write and that read some memory.
type use struct{ written, read int }

func newHistory(dispatches []dispatch) history {
	h := history{map[int][]int64{}, map[int][]use{}}
	for _, d := range dispatches {
		for _, a := range d.args {
			h.cuts[a.arena] = append(h.cuts[a.arena], a.offset, a.offset+a.size)
		}
	}
	for arena, cuts := range h.cuts {
		slices.Sort(cuts)
		h.cuts[arena] = slices.Compact(cuts)
		h.uses[arena] = make([]use, len(cuts))
	}
	return h
}

// of returns the uses of a dispatch's span.
func (h history) of(s span) []use {
	from, _ := slices.BinarySearch(h.cuts[s.arena], s.offset)
	to, _ := slices.BinarySearch(h.cuts[s.arena], s.offset+s.size)
	return h.uses[s.arena][from:to]
}

// note adds a use that ends before the given level.
func (h history) note(a arg, level int) {
	uses := h.of(a.span)
	for i := range uses {
		if a.access&kernels.Write != 0 {
			uses[i].written = max(uses[i].written, level)
		} else {
			uses[i].read = max(uses[i].read, level)
		}
	}
}

// conflict reports whether the two must stay in order because they share memory
// that one of them writes.
func conflict(a, b *dispatch) bool {
	for _, x := range a.args {
		for _, y := range b.args {
			if (x.access|y.access)&kernels.Write != 0 && x.overlaps(y.span) {
				return true
			}
		}
	}
	return false
}

// seemToConflict reports whether two dispatches conflict for an observer, such as the
// validation layer, who sees bindings, but not which parts of them buffers occupy.
func seemToConflict(a, b *dispatch) bool {
	return conflict(&dispatch{args: seen(a)}, &dispatch{args: seen(b)})
}

// seen returns a dispatch's bindings. Those that buffers share are declared for all that
// the shader may do with any of them, and so count as written.
func seen(d *dispatch) []arg {
	if d.isFill() {
		return d.args
	}
	m, err := shaders.Get(d.shader)
	if err != nil {
		return d.args
	}
	bound, _, err := bind(d)
	if err != nil {
		return d.args
	}
	for _, b := range m.Buffers {
		if b.Shared {
			bound[b.Binding].access = kernels.ReadWrite
		}
	}
	return bound
}
