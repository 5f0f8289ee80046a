//go:build cgo

package vulkan

import "github.com/fmnist-gpu/fmnist-gpu/kernels"

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
	l.each("gather", op.X.Len(), constants(op.Augmented(), !op.Rotations.Absent(), int(a.Flip), a.Crop),
		pushed(samples, h, w, channels, op.Order.Len(), a.Erase, angles, rectangles),
		l.read(op.Images), l.read(op.Labels), l.read(op.Order), l.read(op.State), l.read(op.Table),
		l.write(op.X), l.write(op.Y), l.readOr(op.Rotations, op.State), l.readOr(op.Erasures, op.State))
}
