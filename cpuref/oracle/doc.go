// Package oracle is the reference for all other backends: a [kernels.Backend]
// made of naive loops, one readable file per op. Sums are computed in float64
// and rounded to float32 once, when they are stored, so apart from that rounding
// an oracle op returns exactly what the op's formula in package kernels says.
//
// It is simple on purpose, and only as fast as tests need: sums of products run
// along contiguous memory, several output elements at a time. Tests compare
// every other backend with it.
package oracle
