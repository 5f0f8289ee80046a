package cpuref

import (
	"errors"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"weak"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// Every task of every region runs exactly once, whether the workers are awake
// or asleep.
func TestPoolRunsEveryTaskOnce(t *testing.T) {
	p := newPool(4, func() {})
	defer p.close()
	for region := range 300 {
		tasks := 1 + region*7%50
		runs := make([]atomic.Int32, tasks)
		p.run(tasks, func(worker, task int) {
			if worker < 0 || worker >= 4 {
				t.Errorf("worker %d of 4", worker)
			}
			runs[task].Add(1)
		})
		for i := range runs {
			if n := runs[i].Load(); n != 1 {
				t.Fatalf("region %d: task %d of %d ran %d times", region, i, tasks, n)
			}
		}
		if region%100 == 50 {
			time.Sleep(5 * time.Millisecond) // long enough to fall asleep
		}
	}
}

// After a region, its workers no longer refer to what its tasks used.
func TestPoolLetsGo(t *testing.T) {
	p := newPool(2, func() {})
	defer p.close()
	used := func() weak.Pointer[[1 << 20]byte] {
		buffer := new([1 << 20]byte)
		p.run(50, func(_, task int) { buffer[task] = 1 })
		return weak.Make(buffer)
	}()
	for i := 0; used.Value() != nil; i++ {
		if i == 100 {
			t.Fatal("the buffer is still in use after 100 collections")
		}
		runtime.GC()
		time.Sleep(time.Millisecond)
	}
}

// faulty is a task that fails because of a bug.
func faulty(_, task int) {
	if none := []int(nil); task == 5 {
		none[task]++
	}
}

// A task's panic reaches the caller with the place of the bug, and the pool
// stays usable.
func TestPoolPanic(t *testing.T) {
	p := newPool(3, func() {})
	defer p.close()
	func() {
		defer func() {
			err, _ := recover().(error)
			if cause := runtime.Error(nil); !errors.As(err, &cause) || !strings.Contains(err.Error(), "index out of range [5]") ||
				!strings.Contains(err.Error(), "cpuref.faulty(") || !strings.Contains(err.Error(), "pool_test.go") {
				t.Errorf("recovered %v, want the panic of task 5 with its stack", err)
			}
		}()
		p.run(20, faulty)
	}()
	var ran atomic.Int32
	p.run(20, func(_, _ int) { ran.Add(1) })
	if ran.Load() != 20 {
		t.Errorf("after a panic %d of 20 tasks ran", ran.Load())
	}
}

// A bug in an op reaches the caller of Run as a panic, not as an error, and
// other programs can still run.
func TestRunPanics(t *testing.T) {
	b := &backend{pool: newPool(2, func() {})}
	defer b.Close()
	run := func(work func()) error {
		op := step{op: kernels.Fill{}, run: func() error { work(); return nil }}
		return (&program{backend: b, sections: map[string]*section{"step": {steps: []step{op}}}}).Run("step", 1)
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("no panic")
			}
		}()
		t.Error("Run returns ", run(func() { b.pool.run(20, faulty) }))
	}()
	if err := run(func() {}); err != nil {
		t.Error(err)
	}
}

func TestPoolCloseLeavesNoGoroutine(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 20 {
		p := newPool(8, func() {})
		p.run(100, func(_, _ int) {})
		p.close()
	}
	CheckGoroutines(t, before)
}

// CheckGoroutines fails if more goroutines are left than before. A goroutine
// that has reported that it is done takes a moment to end.
func CheckGoroutines(t *testing.T, before int) {
	t.Helper()
	after := 0
	for range 1000 {
		if after = runtime.NumGoroutine(); after <= before {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Errorf("%d goroutines before, %d after", before, after)
}
