package cpuref

import (
	"math"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

func (p *program) advanceState(op kernels.AdvanceState) func() error {
	words := p.words(op.State)
	beta1, rest1 := decay(op.Beta1)
	beta2, rest2 := decay(op.Beta2)
	return func() error {
		s := kernels.ParseState(words)
		s.Step++
		s.Slot++
		s.Cursor += uint32(op.Batch)
		s.BiasCorrection1 = float32(float64(s.BiasCorrection1)*float64(beta1) + float64(rest1))
		s.BiasCorrection2 = float32(float64(s.BiasCorrection2)*float64(beta2) + float64(rest2))
		words[kernels.StateStep], words[kernels.StateSlot] = s.Step, s.Slot
		words[kernels.StateCursor] = s.Cursor
		words[kernels.StateBiasCorrection1] = math.Float32bits(s.BiasCorrection1)
		words[kernels.StateBiasCorrection2] = math.Float32bits(s.BiasCorrection2)
		return nil
	}
}

// decay returns β and 1−β, each rounded once to float32 as on every device.
func decay(beta float64) (b, rest float32) { return float32(beta), float32(1 - beta) }
