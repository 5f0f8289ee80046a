package oracle

import "github.com/fmnist-gpu/fmnist-gpu/kernels"

func advanceState(m *memory, op kernels.AdvanceState) {
	s := m.state(op.State)
	s.Step++
	s.Slot++
	s.Cursor += uint32(op.Batch)
	s.BiasCorrection1 = advanceBiasCorrection(s.BiasCorrection1, op.Beta1)
	s.BiasCorrection2 = advanceBiasCorrection(s.BiasCorrection2, op.Beta2)
	copy(m.words(op.State), s.Words())
}

// advanceBiasCorrection turns 1−βᵗ into 1−βᵗ⁺¹ = (1−βᵗ)·β + (1−β).
func advanceBiasCorrection(c float32, beta float64) float32 {
	b, rest := decay(beta)
	return float32(float64(c)*b + rest)
}
