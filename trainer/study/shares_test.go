package study

import (
	"context"
	"runtime"
	"slices"
	"testing"
)

// All threads are shared out, no more and no less, while trainings end and begin; the
// last ones have the threads of those that have ended.
func TestShares(t *testing.T) {
	for _, c := range []struct {
		threads, workers, trainings int
		first, last                 []int
	}{
		{2, 2, 3, []int{1, 1}, []int{2}},
		{16, 6, 6, []int{3, 3, 3, 3, 2, 2}, []int{16}},
		{16, 4, 9, []int{4, 4, 4, 4}, []int{16}},
		{16, 16, 3, []int{6, 5, 5}, []int{16}},
		{7, 3, 5, []int{3, 2, 2}, []int{7}},
		{1, 2, 3, []int{1, 1}, []int{1}}, // more workers than threads were asked for
	} {
		s := shares{threads: c.threads, busy: make([]bool, c.workers), left: c.trainings}
		var now []*share
		have := func() []int {
			var list []int
			total := 0
			for _, g := range now {
				list = append(list, g.threads())
				total += g.threads()
			}
			if want := max(c.threads, len(now)); total != want {
				t.Errorf("%+v: %v, want %d in all", c, list, want)
			}
			slices.Sort(list)
			slices.Reverse(list)
			return list
		}
		begun := 0
		for ; begun < min(c.workers, c.trainings); begun++ {
			now = append(now, s.begin())
		}
		if got := have(); !slices.Equal(got, c.first) {
			t.Errorf("%+v: begins with %v", c, got)
		}
		for len(now) > 1 {
			i := len(now) / 2
			now[i].end()
			now = slices.Delete(now, i, i+1)
			if begun < c.trainings {
				now, begun = append(now, s.begin()), begun+1
			}
			have()
		}
		if got := have(); !slices.Equal(got, c.last) {
			t.Errorf("%+v: ends with %v", c, got)
		}
	}
}

// A training that waits leaves its threads to the others until one of them ends.
func TestSharesOfWaiting(t *testing.T) {
	s := shares{threads: 8, busy: make([]bool, 3), left: 5}
	first, second, third := s.begin(), s.begin(), s.begin()
	waited := make(chan bool)
	go func() { waited <- first.wait(t.Context()) }()
	for s.waits() == 0 { // the goroutine has not begun to wait
		runtime.Gosched()
	}
	if !second.wait(t.Context()) { // at once: what the first had is free
		t.Error("wait returns false although another training has given its memory back to wait")
	}
	if a, b := second.threads(), third.threads(); a != 4 || b != 4 {
		t.Errorf("%d and %d threads beside one that waits, want 4 each", a, b)
	}
	third.end()
	if !<-waited {
		t.Error("wait returns false after another training has ended")
	}
	if a, b := first.threads(), second.threads(); a+b < 5 || min(a, b) < 2 {
		t.Errorf("%d and %d threads of 8 for two of three", a, b)
	}
	second.end()
	if !first.wait(t.Context()) {
		t.Error("wait returns false although a training has ended since the last one")
	}
	cancelled, cancel := context.WithCancel(t.Context())
	other := s.begin()
	cancel()
	if first.wait(cancelled) {
		t.Error("wait returns true when it is cancelled")
	}
	other.end()
	if !first.wait(t.Context()) || first.wait(t.Context()) {
		t.Error("wait does not return true once for the last training that ended, then false")
	}
	first.end()
}

func (s *shares) waits() int {
	s.lock.Lock()
	defer s.lock.Unlock()
	return s.waiting
}
