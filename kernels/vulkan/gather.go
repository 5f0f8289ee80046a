//go:build cgo

package vulkan

import "github.com/fmnist-gpu/fmnist-gpu/kernels"

func (l *lowering) gather(op kernels.Gather) {
	samples := op.X.Shape[0]
	pixels := op.X.Len() / samples
	l.each("gather", op.X.Len(), nil, pushed(samples, pixels, op.Order.Len()),
		l.read(op.Images), l.read(op.Labels), l.read(op.Order), l.read(op.State), l.read(op.Table),
		l.write(op.X), l.write(op.Y))
}
