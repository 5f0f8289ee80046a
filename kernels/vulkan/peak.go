//go:build cgo

package vulkan

import (
	"errors"
	"fmt"
	"time"

	"github.com/fmnist-gpu/fmnist-gpu/gpu"
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/shaders"
)

// Each ceiling is the best of peakRounds rounds of at least peakRound each.
const (
	peakRounds = 8
	peakRound  = 20 * time.Millisecond

	peakThreads  = 1 << 18      // for arithmetic; as many as the largest GPUs run at once
	peakSteps    = 2048         // half a millisecond of the largest GPU, a tenth of a second of a small one
	peakStepsCPU = 256          // on a software driver
	peakChains   = 8 * 4        // multiply-adds per step in peak_fma.comp
	peakCopy     = 256 << 20    // bytes each way if there is room, more than any cache
	peakCopyCPU  = peakCopy / 4 // on a software driver
)

// MeasurePeak implements [kernels.PeakMeasurer]. It measures fused
// multiply-adds in registers and a memory copy; the device should be idle.
func (b *Backend) MeasurePeak() (kernels.Peak, error) {
	if b.target.limits.TimestampPeriod == 0 {
		return kernels.Peak{}, kernels.ErrNoTimestamps
	}
	bytes, steps := int64(peakCopy), peakSteps
	if b.target.cpu {
		bytes, steps = peakCopyCPU, peakStepsCPU
	}
	bytes = min(bytes, b.target.limits.StorageBufferRange, b.device.FreeBytes()/4) / vec4Bytes * vec4Bytes
	if bytes == 0 {
		return kernels.Peak{}, fmt.Errorf("%w: %s has no room for the benchmark of its memory", gpu.ErrOutOfMemory, b.Name())
	}
	quads := int(bytes / vec4Bytes)
	fma := newDispatch(b.target.threads, peakThreads/b.target.threads, 1, shaders.PeakFMA(
		shaders.PeakFMAPush{Steps: steps, Factor: .5},
		shaders.PeakFMABuffers[arg]{Y: arg{span{0, 0, 4 * peakThreads}, kernels.Write}}))
	move := newDispatch(b.target.threads, ceilDiv(quads, b.target.threads), 1, shaders.PeakCopy(
		shaders.PeakCopyPush{Quads: quads},
		shaders.PeakCopyBuffers[arg]{X: arg{span{0, 0, bytes}, kernels.Read}, Y: arg{span{1, 0, bytes}, kernels.Write}}))
	perFMA, err := b.bestTime(fma, 4*peakThreads)
	if err != nil {
		return kernels.Peak{}, err
	}
	perCopy, err := b.bestTime(move, bytes, bytes)
	if err != nil {
		return kernels.Peak{}, err
	}
	peak := kernels.Peak{FLOPs: 2 * peakThreads * peakChains * float64(steps) / perFMA.Seconds(), Bytes: 2 * float64(bytes) / perCopy.Seconds()}
	if newUnits(b.Info()) == nil { // else the benchmark does not measure what multiplies
		peak.MixedFLOPs = peak.FLOPs // of rounded factors, but in float32
	}
	return peak, nil
}

// bestTime returns the shortest time of a dispatch on buffers of the given sizes.
func (b *Backend) bestTime(d dispatch, sizes ...int64) (best time.Duration, err error) {
	p := &Program{backend: b, sections: map[string]*section{}}
	defer func() { err = errors.Join(err, p.Close()) }()
	if err := b.createPipelines([]dispatch{d}); err != nil {
		return 0, err
	}
	if err := p.allocate(sizes); err != nil {
		return 0, err
	}
	for round, times := 0, 1; round < peakRounds; {
		took, err := p.timeDispatch(d, times)
		if err != nil {
			return 0, err
		}
		if took < peakRound && times < 1<<12 {
			times *= 2
			continue
		}
		if each := took / time.Duration(times); best == 0 || each < best {
			best = each
		}
		round++
	}
	return max(best, 1), nil
}

// timeDispatch returns the time of the given number of runs of a dispatch.
func (p *Program) timeDispatch(d dispatch, times int) (time.Duration, error) {
	return p.timed(func(r *gpu.Recorder) error {
		for range times {
			if err := p.put(r, d); err != nil {
				return err
			}
			r.Barrier()
		}
		return nil
	})
}

// timed returns the time that the device takes to run what record records.
func (p *Program) timed(record func(r *gpu.Recorder) error) (time.Duration, error) {
	marks, err := p.marks(func(r *gpu.Recorder) error {
		r.Timestamp()
		err := record(r)
		r.Timestamp()
		return err
	})
	if err != nil {
		return 0, err
	}
	return time.Duration(marks[1] - marks[0]), nil
}
