package kernels

// Threader is a [Backend] that computes on threads, whose number changes no result.
type Threader interface {
	// Threads returns how many the backend was opened with.
	Threads() int
	// UseThreads gives n threads, at most all, to the programs that are compiled from now
	// on. Those that are open keep theirs.
	UseThreads(n int)
}
