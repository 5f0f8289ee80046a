package kernels

import "errors"

// ErrOutOfMemory is the error of a plan for the CPU that needs more memory than is left to
// this process: other programs may have the rest.
var ErrOutOfMemory = errors.New("out of memory")

// Budgeter is a [Backend] that can tell, without taking any, whether it has memory for a
// plan.
type Budgeter interface {
	// Fits returns nil if the buffers of a valid plan fit into the memory that is free, and
	// otherwise an error that says how much it is.
	Fits(p *Plan) error
}
