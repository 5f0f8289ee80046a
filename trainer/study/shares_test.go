package study

import (
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
		type going struct {
			threads func() int
			end     func()
		}
		var now []going
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
			threads, end := s.begin()
			now = append(now, going{threads, end})
		}
		if got := have(); !slices.Equal(got, c.first) {
			t.Errorf("%+v: begins with %v", c, got)
		}
		for len(now) > 1 {
			i := len(now) / 2
			now[i].end()
			now = slices.Delete(now, i, i+1)
			if begun < c.trainings {
				threads, end := s.begin()
				now, begun = append(now, going{threads, end}), begun+1
			}
			have()
		}
		if got := have(); !slices.Equal(got, c.last) {
			t.Errorf("%+v: ends with %v", c, got)
		}
	}
}
