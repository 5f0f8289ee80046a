//go:build cgo

package gpu

import (
	"runtime"
	"runtime/debug"
	"sync"
	"testing"
)

// collectGarbage keeps the garbage collector running for the length of a test,
// and keeps allocating and freeing both Go and C memory.
func collectGarbage(t *testing.T) {
	old := debug.SetGCPercent(1)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			var keep [64][]byte
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				garbage := make([]byte, 16<<(i%10))
				for j := range garbage {
					garbage[j] = 0xa5
				}
				keep[i%len(keep)] = garbage
				cFree(cAlloc(uintptr(16 << (i % 8)))) // reuses what was freed too early
				if i%4 == 0 {
					runtime.GC()
				}
				runtime.Gosched()
			}
		})
	}
	t.Cleanup(func() {
		close(stop)
		wg.Wait()
		debug.SetGCPercent(old)
	})
}

// Recording, submitting and reading back work under constant garbage
// collection. The validation layer makes the calls slow. With vulkan-go's
// CreateComputePipelines, the driver reads freed memory here and crashes.
func TestGarbageCollectionStress(t *testing.T) {
	d := testDevice(t)
	collectGarbage(t)
	x, y := newBuffer(t, d, 1024), newBuffer(t, d, 1024)
	rounds := uint32(500)
	if testing.Short() {
		rounds = 100
	}
	for round := range rounds {
		stressRound(t, d, x, y, round)
	}
}

func stressRound(t *testing.T, d *Device, x, y *Buffer, round uint32) {
	t.Helper()
	p := axpy(t, d, round%5)
	must(t, d.Upload(x, 0, randomBytes(1024, uint64(round))))
	r := newRecorder(t, d, false)
	must(t, r.Fill(whole(y), round))
	for i := range 4 {
		r.Barrier()
		must(t, r.Dispatch(p, []Region{{x, int64(i) * 256, 256}, {y, int64(i) * 256, 256}}, axpyPush(64, uint32(i)), 1, 1, 1))
	}
	r.Barrier()
	must(t, r.Copy(Region{y, 0, 4}, Region{y, 4, 4}))
	c := finish(t, r)
	must(t, d.Run(c, 3))
	in, out := words(download(t, x)), words(download(t, y))
	for i := range out {
		from := i
		if i == 0 {
			from = 1
		}
		if want := round + uint32(i/64)*in[from] + round%5; out[i] != want {
			t.Fatalf("round %d, word %d: %d, want %d", round, i, out[i], want)
		}
	}
	c.Close()
	p.Close()
}
