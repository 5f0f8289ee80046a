package kernels

import "math"

// State holds everything that varies from step to step and describes the step
// about to run. On the device it is a tensor of StateWords uint32 words, in
// the order of the fields. The host writes it before an epoch; the device
// advances it ([AdvanceState]).
type State struct {
	Step   uint32 // optimiser steps completed
	Cursor uint32 // index in Order of the batch's first sample
	Slot   uint32 // index of the step in the epoch's logs and learning rates
	Seed   uint64 // of the run; two words, low first
	// BiasCorrection1 and 2 are Adam's 1−β₁ᵗ and 1−β₂ᵗ with t = Step+1,
	// float32 bits. The device advances them by c ← c·β + (1−β), which is within
	// 1e-4 of them for an epoch, after which the host sets them; computing 1−βᵗ from
	// a rounded power would lose a small one to cancellation.
	BiasCorrection1, BiasCorrection2 float32
	Epoch                            uint32
}

// StateWords is the length of the state tensor.
const StateWords = 8

// Positions of State's fields in the state tensor.
const (
	StateStep = iota
	StateCursor
	StateSlot
	StateSeedLow
	StateSeedHigh
	StateBiasCorrection1
	StateBiasCorrection2
	StateEpoch
)

// NewState returns the state before the given step (the first is 0) of a run
// with the given seed and Adam's β₁ and β₂.
func NewState(seed uint64, step uint32, beta1, beta2 float64) State {
	t := float64(step) + 1
	return State{
		Step: step, Seed: seed,
		BiasCorrection1: float32(-math.Expm1(t * math.Log(beta1))),
		BiasCorrection2: float32(-math.Expm1(t * math.Log(beta2))),
	}
}

// Words returns the state as the device stores it.
func (s State) Words() []uint32 {
	return []uint32{s.Step, s.Cursor, s.Slot, uint32(s.Seed), uint32(s.Seed >> 32),
		math.Float32bits(s.BiasCorrection1), math.Float32bits(s.BiasCorrection2), s.Epoch}
}

// ParseState is the inverse of [State.Words]. It panics if w is shorter than
// StateWords.
func ParseState(w []uint32) State {
	return State{Step: w[StateStep], Cursor: w[StateCursor], Slot: w[StateSlot],
		Seed:            uint64(w[StateSeedLow]) | uint64(w[StateSeedHigh])<<32,
		BiasCorrection1: math.Float32frombits(w[StateBiasCorrection1]),
		BiasCorrection2: math.Float32frombits(w[StateBiasCorrection2]),
		Epoch:           w[StateEpoch]}
}

// AdvanceState moves the state to the next step: it adds 1 to Step and Slot
// and Batch to Cursor, and replaces each bias correction c by c·β + (1−β), with
// β and 1−β each rounded once to float32. Only [EMA], which counts the step that is
// done, comes after it in a section.
type AdvanceState struct {
	State Tensor // (StateWords) uint32, updated

	Batch        int
	Beta1, Beta2 float64 // of Adam; 0 for other optimisers
}

// Kind implements [Op].
func (AdvanceState) Kind() string { return "AdvanceState" }

// Operands implements [Op].
func (op AdvanceState) Operands() []Operand {
	return []Operand{inout("State", op.State).of(Uint32)}
}

// Check implements [Op].
func (op AdvanceState) Check() error { return want("State", op.State, StateWords) }

// FLOPs implements [Op].
func (op AdvanceState) FLOPs() int { return 4 }
