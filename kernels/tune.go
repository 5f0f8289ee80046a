package kernels

// Tuner is a [Backend] that can measure which of its variants of a plan's
// matrix products and convolutions is fastest on its device, and then use it.
// Tuning changes how results are rounded.
type Tuner interface {
	// Tune measures the products of a section and reports how many are done
	// to progress, unless that is nil.
	Tune(p *Plan, section string, progress func(done, of int)) error
	// Tuned identifies the results of a Tune that the backend uses; "" if it uses none.
	Tuned() string
}
