package cpuref

import (
	"time"

	"github.com/fmnist-gpu/fmnist-gpu/cpuref/internal/simd"
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// Each ceiling is the best of peakRounds rounds of about peakRound each.
const (
	peakRounds = 8
	peakRound  = 50 * time.Millisecond
	peakCopy   = 1 << 26 // bytes each way, more than a core's share of common last-level caches
)

// MeasurePeak implements [kernels.PeakMeasurer]. It measures the matrix-product
// tile on operands in the first caches, and a memory copy, on all workers.
func (b *backend) MeasurePeak() (kernels.Peak, error) {
	b.turn.Lock()
	defer b.turn.Unlock()
	workers := b.current()
	peak := kernels.Peak{FLOPs: b.peakFLOPs(workers, kernels.FP32), Bytes: peakBytes(workers)}
	if b.simd.TilePairs != nil { // twice the products in each step
		peak.MixedFLOPs = 2 * b.peakFLOPs(workers, kernels.Mixed)
	}
	return peak, nil
}

// peakFLOPs measures tiles of 256 steps, counting one product per element and
// step.
func (b *backend) peakFLOPs(p *pool, precision kernels.Precision) float64 {
	const steps = 256
	m, cols := b.multiplierOf(precision), b.simd.Cols
	tiles := make([]simd.Tile, p.workers)
	for i := range tiles {
		x := floats(allocate(4 * (2*m.group*steps + cols*steps + 2*m.group*cols)))
		t := &tiles[i]
		t.A0, t.A1, t.B, t.C = &x[0], &x[m.group*steps], &x[2*m.group*steps], &x[(2*m.group+cols)*steps]
		t.RowA, t.RowC = steps, cols
		t.Walk(steps, 1, cols, 1, 0, 0, 1, 0, 0)
	}
	const tilesPerTask = 64
	task := func(worker, _ int) {
		for range tilesPerTask {
			m.multiply(&tiles[worker], m.group, m.group, cols)
		}
	}
	return float64(tilesPerTask*2*2*m.group*cols*steps) * peakRate(p, task)
}

// peakBytes measures copies, which read and write each byte.
func peakBytes(p *pool) float64 {
	const parts = 256
	from, to := allocate(peakCopy), allocate(peakCopy)
	size := peakCopy / parts
	task := func(_, i int) {
		part := i % parts * size
		copy(to[part:part+size], from[part:part+size])
	}
	return float64(2*size) * peakRate(p, task)
}

// peakRate returns the most tasks per second that all workers together complete.
func peakRate(p *pool, task func(worker, i int)) float64 {
	best := 0.0
	tasks := 256 * p.workers
	for range peakRounds {
		start := time.Now()
		done := 0
		for time.Since(start) < peakRound {
			p.run(tasks, task)
			done += tasks
		}
		best = max(best, float64(done)/time.Since(start).Seconds())
	}
	return best
}
