package source

import "github.com/fmnist-gpu/fmnist-gpu/trainer/live"

// After returns the state after events of another program.
func After(events []live.Event) (State, error) {
	s := &Source{wake: make(chan struct{}, 1)}
	for _, e := range events {
		s.add(e)
	}
	err := (&inspector{Source: s}).inspect()
	return s.State(), err
}
