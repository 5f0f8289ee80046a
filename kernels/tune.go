package kernels

import "fmt"

// Tuner is a [Backend] that can measure which of its variants of a plan's
// matrix products and convolutions is fastest on its device, and then use it.
// Tuning changes how results are rounded.
type Tuner interface {
	// Tune measures the products of a section and reports how many are done
	// to progress, unless that is nil. If later backends cannot have the results,
	// the error is a [KeepError], before the measurement wherever possible.
	Tune(p *Plan, section string, progress func(done, of int)) error
	// Tuned identifies the results of a Tune that the backend uses; "" if it uses none.
	Tuned() string
}

// KeepError is the error of a [Tuner] that cannot keep its results for later backends.
type KeepError struct {
	Path  string // of the file that was to keep them
	Found bool   // there are results, and the backend uses them
	Err   error
}

// Error says which file cannot be written.
func (e *KeepError) Error() string {
	return fmt.Sprintf("cannot keep the tuning in %s: %v", e.Path, e.Err)
}

// Unwrap returns the cause.
func (e *KeepError) Unwrap() error { return e.Err }
