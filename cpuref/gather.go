package cpuref

import (
	"fmt"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// gatheredPerTask is how many pixels at least a task gathers, some 10 µs of work.
const gatheredPerTask = 1 << 15

func (p *program) gather(op kernels.Gather) func() error {
	images, labels := p.bytes(op.Images), p.bytes(op.Labels)
	order, state := p.words(op.Order), p.words(op.State)
	table, x, y := p.floats(op.Table), p.floats(op.X), p.words(op.Y)
	samples := len(y)
	size := len(x) / samples

	var batch []uint32 // the batch's entries of order
	tasks := max(1, len(x)/gatheredPerTask)
	task := func(_, i int) {
		from, to := chunk(samples, tasks, i)
		for n := from; n < to; n++ {
			image := int(batch[n])
			pixels := images[image*size : (image+1)*size]
			out := x[n*size : (n+1)*size]
			t := (*[256]float32)(table) // no bounds to check
			for i, pixel := range pixels {
				out[i] = t[pixel]
			}
			y[n] = uint32(labels[image])
		}
	}
	return func() error {
		cursor := int(state[kernels.StateCursor])
		if cursor+samples > len(order) {
			return fmt.Errorf("entry %d is outside Order, which has %d", max(cursor, len(order)), len(order))
		}
		batch = order[cursor : cursor+samples]
		for i, image := range batch {
			if int(image) >= len(labels) {
				return fmt.Errorf("entry %d of Order is image %d of %d", cursor+i, image, len(labels))
			}
		}
		p.backend.pool.run(tasks, task)
		return nil
	}
}
