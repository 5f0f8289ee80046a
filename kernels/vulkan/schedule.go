//go:build cgo

package vulkan

import (
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/shaders"
)

// schedule orders dispatches in levels: each goes to the first level after all
// earlier dispatches that it conflicts with. Dispatches of one level may
// overlap, so only levels need barriers between them; in a training step,
// weight gradients then run alongside activation gradients.
func schedule(dispatches []dispatch) [][]dispatch {
	var levels [][]dispatch
	at := make([]int, len(dispatches)) // level of each dispatch
	for i := range dispatches {
		for j := range i {
			if at[j] >= at[i] && conflict(&dispatches[j], &dispatches[i]) {
				at[i] = at[j] + 1
			}
		}
		if at[i] == len(levels) {
			levels = append(levels, nil)
		}
		levels[at[i]] = append(levels[at[i]], dispatches[i])
	}
	return levels
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
