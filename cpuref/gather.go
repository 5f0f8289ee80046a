package cpuref

import (
	"fmt"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// gatheredPerTask is the minimum number of pixels per task, about 10 µs of work.
const gatheredPerTask = 1 << 15

func (p *program) gather(op kernels.Gather) func() error {
	images, labels := p.bytes(op.Images), p.bytes(op.Labels)
	order, state := p.words(op.Order), p.words(op.State)
	table, x, y := p.floats(op.Table), p.floats(op.X), p.words(op.Y)
	rotations, erasures := p.words(op.Rotations), p.words(op.Erasures)
	samples, h, w, channels := op.X.Shape[0], op.X.Shape[1], op.X.Shape[2], op.X.Shape[3]
	size := h * w * channels
	augmented := op.Augmented()
	var s kernels.State

	var batch []uint32 // the batch's entries of order
	tasks := max(1, len(x)/gatheredPerTask)
	task := func(_, i int) {
		from, to := chunk(samples, tasks, i)
		for n := from; n < to; n++ {
			image := int(batch[n])
			pixels := images[image*size : (image+1)*size]
			out := x[n*size : (n+1)*size]
			y[n] = uint32(labels[image])
			var draw kernels.AugmentDraw
			if augmented {
				draw = op.Augment.Draw(s, uint32(n), batch[n], h, w, rotations, erasures)
			}
			for c := range channels {
				t := (*[256]float32)(table[256*c:]) // no bounds to check
				if augmented {
					gatherAugmented(out[c:], pixels[c:], t, h, w, channels, draw)
				} else {
					gatherPlain(out[c:], pixels[c:], t, channels)
				}
			}
		}
	}
	return func() error {
		s = kernels.ParseState(state)
		cursor := int(s.Cursor)
		if cursor+samples > len(order) {
			return fmt.Errorf("entry %d is outside Order, which has %d entries", max(cursor, len(order)), len(order))
		}
		batch = order[cursor : cursor+samples]
		for i, image := range batch {
			if int(image) >= len(labels) {
				return fmt.Errorf("entry %d of Order is image %d, but there are only %d images", cursor+i, image, len(labels))
			}
		}
		if err := checkErasures(erasures, h, w); err != nil {
			return err
		}
		p.pool.run(tasks, task)
		return nil
	}
}

// checkErasures returns an error if a rectangle is empty or does not fit into an
// image of h×w pixels.
func checkErasures(erasures []uint32, h, w int) error {
	for i, rectangle := range erasures {
		height, width := int(rectangle>>16), int(rectangle&0xffff)
		if height < 1 || height > h || width < 1 || width > w {
			return fmt.Errorf("entry %d of Erasures is %d×%d pixels, but the images are %d×%d", i, height, width, h, w)
		}
	}
	return nil
}

// gatherPlain is one channel of an unchanged sample; channels is the distance
// between its elements.
func gatherPlain(out []float32, image []byte, table *[256]float32, channels int) {
	if channels == 1 {
		out = out[:len(image)]
		for i, pixel := range image {
			out[i] = table[pixel]
		}
		return
	}
	for i := 0; i < len(image); i += channels {
		out[i] = table[image[i]]
	}
}

// gatherAugmented is one channel of a changed sample:
// [kernels.AugmentDraw.Source] along the rows of the output, where the source
// moves by the same step from pixel to pixel.
func gatherAugmented(out []float32, image []byte, table *[256]float32, h, w, channels int, d kernels.AugmentDraw) {
	step := int32(2) // of u
	if d.Flip {
		step = -2
	}
	for y := range h {
		row := out[y*w*channels:]
		for x := range w {
			row[x*channels] = table[0]
		}
		from, to := max(0, -d.Over), min(w, w-d.Over) // pixels that are not padding
		if y+d.Down < 0 || y+d.Down >= h || from >= to {
			continue
		}
		first := from + d.Over
		if d.Flip {
			first = w - 1 - first
		}
		v, u := int32(2*(y+d.Down)-(h-1)), int32(2*first-(w-1))
		sy := d.Cos*v - d.Sin*u + int32(h)<<16
		sx := d.Cos*u + d.Sin*v + int32(w)<<16
		for x := from; x < to; x++ {
			if py, px := uint32(sy>>17), uint32(sx>>17); py < uint32(h) && px < uint32(w) {
				row[x*channels] = table[image[(int(py)*w+int(px))*channels]]
			}
			sy -= step * d.Sin
			sx += step * d.Cos
		}
		if y >= d.EraseTop && y < d.EraseTop+d.EraseHeight {
			for x := d.EraseLeft; x < d.EraseLeft+d.EraseWidth; x++ {
				row[x*channels] = table[0]
			}
		}
	}
}
