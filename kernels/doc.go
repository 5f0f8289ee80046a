// Package kernels is the contract between the training code and the backends
// that execute it.
//
// A training step is a flat list of operations on named buffers, written once
// and run thousands of times. [Plan] is that list: buffers, and sections of
// ops over them. A [Backend] compiles a plan into a [Program], which runs a
// section by itself as many times as asked, without returning to the caller
// between steps: everything that varies from step to step lives in buffers
// that the device itself reads and advances (see [State]).
//
// Every op is a plain struct whose fields are the tensors it touches, in the
// vocabulary of the field. Backward ops are written beside their forward op;
// there is no automatic differentiation and no control flow inside a plan.
// An op's test is a plan of one op.
//
// # Memory layout
//
// Activations are channels-last, (N, H, W, C); convolution weights are
// (O, KH, KW, I); matrices are row-major; a fully connected layer's weight is
// (out, in). Backends know no other layout. Package trainer/model says how each
// parameter maps to PyTorch's, which files and initial values use.
package kernels
