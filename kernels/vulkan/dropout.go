//go:build cgo

package vulkan

import "github.com/fmnist-gpu/fmnist-gpu/kernels"

// dropout lowers both directions: x is X or DY, y is Y or DX.
func (l *lowering) dropout(x, state, y kernels.Tensor, p float32, layer uint32) {
	samples, units := x.Shape[0], x.Shape[1]
	scale := float32(1 / (1 - float64(p)))
	l.each("dropout", samples*ceilDiv(units, 4), nil,
		pushed(samples, units, kernels.DropoutThreshold(p), layer, scale), l.read(x), l.read(state), l.write(y))
}
