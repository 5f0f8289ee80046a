package oracle

import (
	"fmt"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

func gather(m *memory, op kernels.Gather) error {
	images, labels, order := m.pixels(op.Images), m.pixels(op.Labels), m.words(op.Order)
	table, x, y := m.floats(op.Table), m.floats(op.X), m.words(op.Y)
	rotations, erasures := m.words(op.Rotations), m.words(op.Erasures)
	state := m.state(op.State)
	cursor := int(state.Cursor)
	h, w, channels := op.X.Shape[1], op.X.Shape[2], op.X.Shape[3]
	size := h * w
	for n := range op.X.Shape[0] {
		if cursor+n >= len(order) {
			return fmt.Errorf("entry %d is outside Order, which has %d entries", cursor+n, len(order))
		}
		image := int(order[cursor+n])
		if image >= len(labels) {
			return fmt.Errorf("entry %d of Order is image %d, but there are only %d images", cursor+n, image, len(labels))
		}
		draw := op.Augment.Draw(state, uint32(n), uint32(image), h, w, rotations, erasures)
		for p := range size {
			sy, sx, inside := draw.Source(p/w, p%w, h, w)
			for c := range channels {
				pixel := byte(0)
				if inside {
					pixel = images[(image*size+sy*w+sx)*channels+c]
				}
				x[(n*size+p)*channels+c] = table[256*c+int(pixel)]
			}
		}
		y[n] = uint32(labels[image])
	}
	return nil
}
