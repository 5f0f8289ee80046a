package oracle

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// round stores float64 sums as float32.
func round(dst []float32, sum []float64) {
	for i, s := range sum {
		dst[i] = float32(s)
	}
}

// parallel calls f(0) to f(n-1), as many at a time as there are cores. Each call
// computes different elements, from start to end, so the results do not depend
// on the order of the calls.
func parallel(n int, f func(i int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(n, runtime.GOMAXPROCS(0)) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				f(i)
			}
		})
	}
	wg.Wait()
}
