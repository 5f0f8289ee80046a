// Package cpuref trains and evaluates on the CPU without cgo: it implements
// [kernels.Backend] with a pool of worker threads and with inner loops in
// vector instructions if the machine has them (package internal/simd).
//
// Every op has its own file, named as in package kernels. Compiling a plan turns
// each op into a function that runs it, and fixes shapes, tiles and scratch
// memory, so that a run allocates nothing.
//
// Results are bit-identical for any number of threads. Work is split either so
// that one task computes each output element, in a fixed order, or into parts
// whose number depends only on the shape and whose results are combined in
// order.
package cpuref
