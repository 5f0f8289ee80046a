// Package kernels is the contract between the training code and the backends
// that execute it.
//
// A training step is a flat list of operations on named buffers, written once
// and run thousands of times. A [Plan] is that list: buffers, and sections of
// ops on them. A [Backend] compiles a plan into a [Program], which runs a
// section any number of times without returning to the caller between steps:
// everything that varies from step to step lives in buffers that the device
// itself reads and advances (see [State]).
//
// Every op is a plain struct whose fields are its tensors and parameters.
// Backward ops are defined beside their forward op; a plan has no automatic
// differentiation and no control flow. An op's test is a plan of one op.
//
// # Memory layout
//
// Activations are channels-last, (N, H, W, C); convolution weights are
// (O, KH, KW, I); matrices are row-major; a fully connected layer's weight is
// (out, in). PyTorch's layout matters only outside plans: trainer/model maps
// each parameter to it, to initialise weights as PyTorch does, and
// trainer/checkpoint uses the map to load and save them.
package kernels
