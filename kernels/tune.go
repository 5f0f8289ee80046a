package kernels

// Tuner is a [Backend] that can measure which of its ways to compute a plan's
// matrix products and convolutions is fastest on its device, and keep to it.
// Results then differ in their roundings from those before.
type Tuner interface {
	// Tune measures the products of a section; progress, if not nil, is told
	// how many are done.
	Tune(p *Plan, section string, progress func(done, of int)) error
	// Tuned reports whether what an earlier Tune found is in use.
	Tuned() bool
}
