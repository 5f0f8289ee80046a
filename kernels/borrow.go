package kernels

// Borrower is a [Backend] whose programs can compute in memory of the caller. This saves
// a copy of the dataset.
type Borrower interface {
	// CompileOn is Compile for a plan of which the buffers with the given indices, which
	// are of [Uint8], so that no op writes them, lie in memory that the caller lends. It
	// must not change while the program is open, and cannot be written by its Write.
	CompileOn(p *Plan, lent map[int][]byte) (Program, error)
}
