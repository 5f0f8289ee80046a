package study

import "sync"

// shares divides threads among concurrent trainings: evenly, and when nothing is left to
// begin, those of the trainings that have ended go to the others.
type shares struct {
	lock    sync.Mutex
	threads int
	busy    []bool // by place; one for each training at a time
	left    int    // trainings that have not ended
}

// begin takes a place for a training until it calls end. threads returns its present
// share, at least one.
func (s *shares) begin() (threads func() int, end func()) {
	s.lock.Lock()
	defer s.lock.Unlock()
	place := 0
	for s.busy[place] {
		place++
	}
	s.busy[place] = true
	return func() int { return s.of(place) }, func() {
		s.lock.Lock()
		defer s.lock.Unlock()
		s.busy[place] = false
		s.left--
	}
}

// of returns the share of a place.
func (s *shares) of(place int) int {
	s.lock.Lock()
	defer s.lock.Unlock()
	among := min(len(s.busy), s.left)
	if s.left < len(s.busy) { // all have begun: only these count
		before := 0
		for _, busy := range s.busy[:place] {
			if busy {
				before++
			}
		}
		place = before
	}
	share := s.threads / among
	if place < s.threads%among {
		share++
	}
	return max(1, share)
}
