package cpuref

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
)

// pool runs the tasks of one parallel region at a time on a fixed set of
// workers; the caller is worker 0. Its goroutines live as long as the backend,
// and a region allocates nothing. Between regions the workers spin for a while,
// because the next region of a training step follows within microseconds, and
// then sleep.
type pool struct {
	workers int
	pause   func() // spin-wait hint of the instruction set

	// ticket holds the region's number of tasks in its upper 32 bits and the
	// next task in its lower 32 bits. A worker owns the task that its increment
	// returns, if there is one. A late worker finds none left or joins the next
	// region, so no region waits for a sleeping worker.
	ticket atomic.Uint64
	task   func(worker, task int)    // of the region; constant until all are done
	done   atomic.Int64              // finished tasks of the region
	failed atomic.Pointer[taskPanic] // the region's first panic

	sleeping []atomic.Bool
	wake     []chan struct{}
	closed   atomic.Bool
	exited   sync.WaitGroup
}

// spins is the number of times a worker looks for work before it sleeps, about
// 100 µs; after every yieldEvery looks it lets other goroutines run.
const (
	spins      = 4000
	yieldEvery = 500
)

func newPool(workers int, pause func()) *pool {
	p := &pool{workers: workers, pause: pause,
		sleeping: make([]atomic.Bool, workers), wake: make([]chan struct{}, workers)}
	for w := 1; w < workers; w++ {
		p.wake[w] = make(chan struct{}, 1)
		p.exited.Add(1)
		go p.work(w)
	}
	return p
}

// run executes task(worker, i) once for every i below tasks, on any worker, and
// returns when all have finished. It repeats a panic of a task, with its stack
// if it may be that of another goroutine. No task may depend on another task or
// on which worker runs it.
func (p *pool) run(tasks int, task func(worker, task int)) {
	if p.workers == 1 || tasks <= 1 {
		for i := range tasks {
			task(0, i)
		}
		return
	}
	p.task = task
	p.done.Store(0)
	p.ticket.Store(uint64(tasks) << 32)
	for w := 1; w < min(p.workers, tasks); w++ {
		if p.sleeping[w].CompareAndSwap(true, false) {
			p.wake[w] <- struct{}{}
		}
	}
	for p.take(0) {
	}
	for i := 1; p.done.Load() < int64(tasks); i++ {
		p.relax(i)
	}
	p.task = nil // which refers to buffers
	if f := p.failed.Swap(nil); f != nil {
		panic(f)
	}
}

// take runs one task of the current region, if one is left.
func (p *pool) take(worker int) bool {
	if left(p.ticket.Load()) <= 0 {
		return false
	}
	ticket := p.ticket.Add(1) - 1
	if left(ticket) <= 0 {
		return false
	}
	p.finish(worker, int(ticket&0xffffffff))
	return true
}

// left returns the number of tasks left, including the ticket's own.
func left(ticket uint64) int64 { return int64(ticket>>32) - int64(ticket&0xffffffff) }

func (p *pool) finish(worker, task int) {
	defer func() {
		if r := recover(); r != nil {
			p.failed.CompareAndSwap(nil, &taskPanic{r, debug.Stack()})
		}
		p.done.Add(1)
	}()
	p.task(worker, task)
}

// taskPanic is a task's panic as the caller of run sees it. The runtime prints
// it by Error.
type taskPanic struct {
	value any
	stack []byte // of the goroutine that panicked
}

// Error implements error.
func (p *taskPanic) Error() string {
	return fmt.Sprintf("bug in the CPU backend: %v\n\nstack of the worker:\n%s", p.value, p.stack)
}

// Unwrap returns the value of the panic if that is an error.
func (p *taskPanic) Unwrap() error {
	err, _ := p.value.(error)
	return err
}

// work is the loop of a worker: run tasks, else spin, else sleep.
func (p *pool) work(worker int) {
	defer p.exited.Done()
	for idle := 1; !p.closed.Load(); idle++ {
		if p.take(worker) {
			idle = 0
			continue
		}
		if idle < spins {
			p.relax(idle)
			continue
		}
		p.sleep(worker)
		idle = 0
	}
}

// sleep blocks until the next region. It looks for work once more after setting
// its sleeping flag, so that it cannot miss a region.
func (p *pool) sleep(worker int) {
	p.sleeping[worker].Store(true)
	if (left(p.ticket.Load()) > 0 || p.closed.Load()) && p.sleeping[worker].CompareAndSwap(true, false) {
		return
	}
	<-p.wake[worker]
}

// relax waits briefly while spinning; i counts the calls from 1.
func (p *pool) relax(i int) {
	if i%yieldEvery == 0 {
		runtime.Gosched()
		return
	}
	p.pause()
}

// close stops the workers and waits until they have exited.
func (p *pool) close() {
	p.closed.Store(true)
	for w := 1; w < p.workers; w++ {
		if p.sleeping[w].CompareAndSwap(true, false) {
			p.wake[w] <- struct{}{}
		}
	}
	p.exited.Wait()
}

// chunk returns the bounds of part i of n items split into parts of nearly equal
// size.
func chunk(n, parts, i int) (from, to int) { return n * i / parts, n * (i + 1) / parts }
