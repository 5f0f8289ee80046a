package oracle

import (
	"fmt"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

func gather(m *memory, op kernels.Gather) error {
	images, labels, order := m.pixels(op.Images), m.pixels(op.Labels), m.words(op.Order)
	table, x, y := m.floats(op.Table), m.floats(op.X), m.words(op.Y)
	cursor := int(m.state(op.State).Cursor)
	size := op.X.Shape[1] * op.X.Shape[2]
	for n := range op.X.Shape[0] {
		if cursor+n >= len(order) {
			return fmt.Errorf("entry %d is outside Order, which has %d", cursor+n, len(order))
		}
		image := int(order[cursor+n])
		if image >= len(labels) {
			return fmt.Errorf("entry %d of Order is image %d of %d", cursor+n, image, len(labels))
		}
		for p := range size {
			x[n*size+p] = table[images[image*size+p]]
		}
		y[n] = uint32(labels[image])
	}
	return nil
}
