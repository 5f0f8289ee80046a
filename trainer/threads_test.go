package trainer

import (
	"slices"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/cpuref"
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// threadLog is a backend that notes the numbers of threads that it is given.
type threadLog struct {
	kernels.Threader
	kernels.Backend
	used []int
}

func (b *threadLog) UseThreads(n int) {
	b.used = append(b.used, n)
	b.Threader.UseThreads(n)
}

// A training whose number of threads changes between epochs has the same results, alone
// and as a replica; its program is compiled again only when the number changes.
func TestThreadsChange(t *testing.T) {
	r, n, data := onTiny(t)
	for _, replicas := range []int{1, 2} {
		want := trainedAlone(t, r, n, data, replicas)
		b, err := cpuref.Open(cpuref.Options{Threads: 3})
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		log := &threadLog{Backend: b, Threader: b.(kernels.Threader)}
		shares := []int{1, 1, 3, 3, 3, 2, 2, 2} // each change is asked for twice: before an epoch, and to compile
		got := folders(t, replicas)
		list := seeded(r, got)
		list[0].Options.Threads = func() int {
			share := shares[0]
			shares = append(shares[1:], share)
			return share
		}
		if _, err := TrainReplicas(t.Context(), list, n, data, log); err != nil {
			t.Fatal(err)
		}
		for i, dir := range got {
			wantSameRun(t, dir, want[i])
		}
		if !slices.Equal(log.used, []int{1, 3, 2}) {
			t.Errorf("%d replicas: threads %v, want 1, 3 and 2", replicas, log.used)
		}
	}
}
