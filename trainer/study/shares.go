package study

import (
	"context"
	"slices"
	"sync"
)

// shares divides threads among concurrent trainings: evenly, and when nothing is left to
// begin, those of the trainings that have ended go to the others.
type shares struct {
	lock    sync.Mutex
	threads int
	busy    []bool        // by place; one for each training at a time
	left    int           // trainings that have not ended
	waiting int           // trainings that have no place until another ends
	changes int           // how often a training has given its memory back, by its end or to wait
	ended   chan struct{} // closed when a training ends
}

// share is the part of a training.
type share struct {
	of    *shares
	place int
	seen  int // of the changes, before the training began or went on
}

// begin takes a place for a training until it ends.
func (s *shares) begin() *share {
	s.lock.Lock()
	defer s.lock.Unlock()
	own := &share{of: s, seen: s.changes}
	own.take()
	return own
}

// take takes the first free place.
func (s *share) take() {
	s.place = slices.Index(s.of.busy, false)
	s.of.busy[s.place] = true
}

// end gives the place back.
func (s *share) end() {
	s.of.lock.Lock()
	defer s.of.lock.Unlock()
	s.of.busy[s.place] = false
	s.of.left--
	s.of.changes++
	if s.of.ended != nil {
		close(s.of.ended)
		s.of.ended = nil
	}
}

// wait is for a training that found too little memory. It leaves the threads to the other
// trainings until one of them ends, or returns at once if one has given its memory back
// meanwhile. It returns false if the training was alone, or ctx is cancelled.
func (s *share) wait(ctx context.Context) bool {
	s.of.lock.Lock()
	defer s.of.lock.Unlock()
	defer func() { s.seen = s.of.changes }()
	if s.seen != s.of.changes {
		return ctx.Err() == nil
	}
	s.of.busy[s.place] = false
	defer s.take()
	if !slices.Contains(s.of.busy, true) {
		return false
	}
	if s.of.ended == nil {
		s.of.ended = make(chan struct{})
	}
	ended := s.of.ended
	s.of.changes++ // its own is seen when it goes on
	s.of.waiting++
	s.of.lock.Unlock()
	select {
	case <-ended:
	case <-ctx.Done():
	}
	s.of.lock.Lock()
	s.of.waiting--
	return ctx.Err() == nil
}

// threads returns the present number of the share's threads, at least one.
func (s *share) threads() int {
	s.of.lock.Lock()
	defer s.of.lock.Unlock()
	return s.of.at(s.place)
}

// at returns the threads of a place.
func (s *shares) at(place int) int {
	among := min(len(s.busy), s.left) - s.waiting
	if s.left < len(s.busy) || s.waiting > 0 { // all have begun: only these count
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
