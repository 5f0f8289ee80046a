//go:build cgo

package vulkan

import (
	"slices"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
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
