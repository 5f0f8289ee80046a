//go:build !noasm

package simd

import (
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// The tile registers survive signals, garbage collections and moves between threads:
// more goroutines than cores compute the same products again and again, and every
// one has the bits of the first.
func TestAMXUnderPreemption(t *testing.T) {
	tiers := Tiers()
	k := tiers[len(tiers)-1]
	if k.Name != "amx" {
		t.Skip("the machine has no AMX")
	}
	deadline := time.Now().Add(2 * time.Second)
	var working, disturbing sync.WaitGroup
	var products, stop atomic.Int64
	for range 2 * runtime.NumCPU() {
		working.Go(func() {
			p := newAMXProduct(k)
			want := clone(p.run())
			for time.Now().Before(deadline) {
				for i, v := range p.run() {
					if math.Float32bits(v) != math.Float32bits(want[i]) {
						t.Errorf("element %d is %v, was %v", i, v, want[i])
						return
					}
				}
				products.Add(1)
			}
		})
	}
	disturbing.Go(func() {
		for stop.Load() == 0 {
			if err := syscall.Kill(os.Getpid(), syscall.SIGURG); err != nil { // the runtime's signal for preemption
				t.Error(err)
				return
			}
			runtime.Gosched()
		}
	})
	disturbing.Go(func() {
		for stop.Load() == 0 {
			runtime.GC()
		}
	})
	working.Wait()
	stop.Store(1)
	disturbing.Wait()
	if products.Load() == 0 {
		t.Error("no product was repeated")
	}
}

// amxProduct is a tile with a long reduction.
type amxProduct struct {
	k       *Kernels
	tile    Tile
	c, bias []float32
}

func newAMXProduct(k *Kernels) *amxProduct {
	const steps = 5000
	r := rand.New(rand.NewPCG(19, 20))
	a, b := pairedValues(r, 2*k.GroupPairs*steps), pairedValues(r, (steps+1)*k.Cols)
	p := &amxProduct{k: k, c: make([]float32, 2*k.GroupPairs*k.Cols), bias: values(r, k.Cols)}
	p.tile = Tile{A0: &a[0], A1: &a[k.GroupPairs*steps], B: &b[0], C: &p.c[0], Bias: &p.bias[0], RowA: steps, RowC: k.Cols}
	p.tile.Walk(steps, 1, k.Cols, 1, 0, 0, 1, 0, 0)
	return p
}

// run returns the tile.
func (p *amxProduct) run() []float32 {
	p.k.TilePairs(&p.tile, p.k.GroupPairs, p.k.GroupPairs, p.k.Cols)
	return p.c
}
