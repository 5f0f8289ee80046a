// Package oracle is the project's definition of truth: a [kernels.Backend] of
// naive loops, one readable file per op. Sums are taken in float64 and rounded
// to float32 once, when they are stored, so what an oracle op returns is, but
// for that rounding, what the op's formula in package kernels says.
//
// It is simple on purpose, and only as fast as tests need: sums of products
// run along memory, several output elements at a time. Every other backend is
// compared with it.
package oracle
