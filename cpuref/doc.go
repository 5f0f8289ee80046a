// Package cpuref trains and evaluates on the CPU, in pure Go: it implements
// [kernels.Backend] with a pool of worker threads and with inner loops in
// vector instructions where the machine has them (package internal/simd).
//
// Every op has its own file, named as in package kernels. It is compiled, when
// the program is, into a function that runs it: shapes, tiles and scratch
// memory are settled then, so a run allocates nothing.
//
// Results have the same bits for any number of threads. Work is cut either so
// that every output element is computed by one task in one order, or in pieces
// whose number depends on the shape alone and whose results are combined in
// their order.
package cpuref
