// Package oracle is the project's definition of truth: a [kernels.Backend] of
// naive loops, one readable file an op. Sums are taken in float64 and rounded
// to float32 once, when they are stored, so what an oracle op returns is, but
// for that rounding, what the op's formula in package kernels says.
//
// It is slow on purpose. Every other backend is compared with it.
package oracle
