package cpuref

import (
	"fmt"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// weights are the weights of an op in the order in which its inner loops read
// them. A section that trains them prepares them in every run, in the shared
// scratch. Other sections prepare them only after they have changed, and share
// them.
type weights struct {
	p      *program
	buffer int // that they come from
	length int
	at     int       // position in the shared scratch, if they are not kept
	keep   bool      // in kept
	kept   []float32 // allocated when first prepared
	seen   uint64    // version of the buffer that kept is from
}

// weightsKey identifies weights that are kept: their tensor, and their form.
type weightsKey struct {
	buffer, offset int
	shape, form    string
}

// newWeights returns weights of the given length that come from a tensor, for the
// section that is being compiled. form names their order, at their position in the
// shared scratch if they are not kept.
func (p *program) newWeights(from kernels.Tensor, form string, at, length int) *weights {
	w := &weights{p: p, buffer: from.Buffer, at: at, length: length, keep: !p.writes[from.Buffer]}
	if !w.keep {
		p.scratch.reserveShared(at + length)
		return w
	}
	key := weightsKey{from.Buffer, from.Offset, fmt.Sprint(from.Shape), form}
	if other := p.kept[key]; other != nil {
		return other
	}
	p.kept[key] = w
	return w
}

// prepare runs the tasks that fill the weights, unless they are up to date.
func (w *weights) prepare(tasks int, task func(worker, i int)) {
	version := w.p.versions[w.buffer]
	if w.keep && w.kept == nil {
		w.kept = floats(allocate(4 * w.length))
	} else if w.keep && w.seen == version {
		return
	}
	w.p.pool.run(tasks, task)
	w.seen = version
}

// data returns the weights' memory.
func (w *weights) data() []float32 {
	if w.keep {
		return w.kept
	}
	return w.p.scratch.shared[w.at:][:w.length]
}
