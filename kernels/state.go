package kernels

import "math"

// State is what varies from step to step. It lives on the device as
// StateWords uint32 words, in the order of the fields, and the device itself
// advances it ([AdvanceState]); the host writes it before an epoch. It always
// describes the step about to run.
type State struct {
	Step   uint32 // optimiser steps finished
	Cursor uint32 // first entry of Order that the step's batch takes
	Slot   uint32 // index of the step in the epoch's logs and learning rates
	Seed   uint64 // of the run; two words, low first
	// BiasCorrection1 and 2 are Adam's 1−β₁ᵗ and 1−β₂ᵗ with t = Step+1,
	// float32 bits. The device advances them by c ← c·β + (1−β), which keeps
	// full relative precision where 1−βᵗ from a rounded power would not.
	BiasCorrection1, BiasCorrection2 float32
	Epoch                            uint32
}

// StateWords is the length of the state tensor, the last of them Epoch.
const StateWords = 8

// Positions of State's fields in its words.
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

// NewState returns the state before step number step (0 is the first) of a run
// with the given seed and Adam's β₁ and β₂.
func NewState(seed uint64, step uint32, beta1, beta2 float64) State {
	t := float64(step) + 1
	return State{
		Step: step, Seed: seed,
		BiasCorrection1: float32(-math.Expm1(t * math.Log(beta1))),
		BiasCorrection2: float32(-math.Expm1(t * math.Log(beta2))),
	}
}

// Words returns the device's form of the state.
func (s State) Words() []uint32 {
	return []uint32{s.Step, s.Cursor, s.Slot, uint32(s.Seed), uint32(s.Seed >> 32),
		math.Float32bits(s.BiasCorrection1), math.Float32bits(s.BiasCorrection2), s.Epoch}
}

// ParseState is the inverse of [State.Words]; w has StateWords words.
func ParseState(w []uint32) State {
	return State{Step: w[StateStep], Cursor: w[StateCursor], Slot: w[StateSlot],
		Seed:            uint64(w[StateSeedLow]) | uint64(w[StateSeedHigh])<<32,
		BiasCorrection1: math.Float32frombits(w[StateBiasCorrection1]),
		BiasCorrection2: math.Float32frombits(w[StateBiasCorrection2]),
		Epoch:           w[StateEpoch]}
}

// AdvanceState moves the state on to the next step: Step and Slot by 1,
// Cursor by Batch, and each bias correction c to c·β + (1−β) with the given
// float32 β and 1−β rounded once from the float64 difference. It is the last
// op of a section.
type AdvanceState struct {
	State Tensor // (StateWords) uint32, updated

	Batch        int
	Beta1, Beta2 float64 // of Adam; 0 where there is none
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
