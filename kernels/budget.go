package kernels

// Budgeter is a [Backend] that can tell, without taking any, whether it has memory for a
// plan.
type Budgeter interface {
	// Fits returns nil if the buffers of a valid plan fit into the memory that is free, and
	// otherwise an error that says how much it is.
	Fits(p *Plan) error
}
