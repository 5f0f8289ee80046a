//go:build cgo

package vulkan

import "github.com/fmnist-gpu/fmnist-gpu/kernels"

// dropout lowers both directions: x is X or DY, y is Y or DX. With relu, it
// replaces x by max(x, 0).
func (l *lowering) dropout(x, state, y kernels.Tensor, p float32, layer uint32, relu bool) {
	samples, units := x.Shape[0], x.Shape[1]
	l.each("dropout", samples*ceilDiv(units, 4), constants(relu),
		pushed(samples, units, kernels.DropoutThreshold(p), layer, keptScale(p)), l.read(x), l.read(state), l.write(y))
}

// keptScale returns the factor by which dropout scales the units that it keeps.
func keptScale(p float32) float32 { return float32(1 / (1 - float64(p))) }
