//go:build cgo

package vulkan

import (
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/shaders"
)

func (l *lowering) gather(op kernels.Gather) {
	samples, h, w, channels := op.X.Shape[0], op.X.Shape[1], op.X.Shape[2], op.X.Shape[3]
	a := op.Augment
	angles, rectangles := 0, 0
	if !op.Rotations.Absent() {
		angles = op.Rotations.Dim(0)
	}
	if !op.Erasures.Absent() {
		rectangles = op.Erasures.Len()
	}
	l.each(op.X.Len(), shaders.Gather(
		shaders.GatherSpec{Augment: op.Augmented(), Rotate: !op.Rotations.Absent(), Flip: int(a.Flip), Crop: a.Crop},
		shaders.GatherPush{Samples: samples, Height: h, Width: w, Channels: channels, Entries: op.Order.Len(), Erase: int(a.Erase),
			Angles: angles, Rectangles: rectangles},
		shaders.GatherBuffers[arg]{Images: l.read(op.Images), Labels: l.read(op.Labels), Order: l.read(op.Order), State: l.read(op.State),
			Table: l.read(op.Table), X: l.write(op.X), Y: l.write(op.Y),
			Rotations: l.readIf(op.Rotations), Erasures: l.readIf(op.Erasures)}))
}
