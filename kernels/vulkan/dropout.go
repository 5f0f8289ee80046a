//go:build cgo

package vulkan

import (
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/shaders"
)

// dropout lowers both directions: x is X or DY, y is Y or DX. With relu, it
// replaces x by max(x, 0).
func (l *lowering) dropout(x, state, y kernels.Tensor, p float32, layer uint32, relu bool) {
	samples, units := x.Shape[0], x.Shape[1]
	l.each(samples*ceilDiv(units, 4), shaders.Dropout(shaders.DropoutSpec{WithReLU: relu},
		shaders.DropoutPush{Samples: samples, Units: units, Threshold: int(kernels.DropoutThreshold(p)), Layer: int(layer), Scale: keptScale(p)},
		shaders.DropoutBuffers[arg]{X: l.read(x), State: l.read(state), Y: l.write(y)}))
}

// keptScale returns the factor by which dropout scales the units that it keeps.
func keptScale(p float32) float32 { return float32(1 / (1 - float64(p))) }
