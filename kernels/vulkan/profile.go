//go:build cgo

package vulkan

import (
	"fmt"
	"slices"
	"time"

	"github.com/fmnist-gpu/fmnist-gpu/gpu"
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// PipelineCacheWarm reports whether the device started with pipelines cached by
// an earlier process (see [gpu.Device.PipelineCacheWarm]).
func (b *Backend) PipelineCacheWarm() bool { return b.device.PipelineCacheWarm() }

// Profile implements [kernels.Program]. The ops run one after the other, each
// between two timestamps. Their total exceeds the time of a normal run, in which
// independent ops overlap.
func (p *Program) Profile(name string) ([]kernels.OpTime, error) {
	s, err := p.find(name)
	if err != nil {
		return nil, err
	}
	marks, err := p.marks(func(r *gpu.Recorder) error { return p.recordProfile(r, s) })
	if err != nil {
		return nil, fmt.Errorf("section %q: %w", name, err)
	}
	times := make([]kernels.OpTime, len(s.source.Ops))
	for i, op := range s.source.Ops {
		times[i] = kernels.OpTime{Op: op, Nanoseconds: marks[i+1] - marks[i]}
	}
	for _, d := range s.dispatches {
		times[d.op].Dispatches++
	}
	for i := range times {
		times[i].Joined = times[i].Dispatches == 0
	}
	return times, nil
}

// TimeStep implements [kernels.StepTimer].
func (p *Program) TimeStep(name string) (time.Duration, error) {
	s, err := p.find(name)
	if err != nil {
		return 0, err
	}
	took, err := p.timed(func(r *gpu.Recorder) error { return p.recordLevels(r, s, schedule(s.dispatches), r.Barrier) })
	if err != nil {
		return 0, fmt.Errorf("section %q: %w", name, err)
	}
	return took, nil
}

// TimeBetweenDispatches implements [kernels.StepTimer].
func (p *Program) TimeBetweenDispatches(name string) (time.Duration, error) {
	s, err := p.find(name)
	if err != nil {
		return 0, err
	}
	marks, err := p.barrierMarks(s)
	if err != nil {
		return 0, fmt.Errorf("section %q: %w", name, err)
	}
	return betweenDispatches(marks), nil
}

// barrierMarks runs a section and returns the timestamps for betweenDispatches.
func (p *Program) barrierMarks(s *section) ([]int64, error) {
	return p.marks(func(r *gpu.Recorder) error {
		return p.recordLevels(r, s, schedule(s.dispatches), func() { r.Timestamp(); r.Timestamp(); r.Barrier(); r.Timestamp() })
	})
}

// betweenDispatches adds up the time of all barriers. Each has three marks: the
// first waits for the dispatches before it, the second measures the cost of a
// mark, and the third follows the barrier. A coarse device clock can make the
// sum negative; it then counts as 0.
func betweenDispatches(marks []int64) time.Duration {
	sum := int64(0)
	for m := range slices.Chunk(marks, 3) {
		sum += (m[2] - m[1]) - (m[1] - m[0])
	}
	return time.Duration(max(sum, 0))
}

// marks runs what record records once and returns its timestamps, in nanoseconds
// since the first.
func (p *Program) marks(record func(r *gpu.Recorder) error) ([]int64, error) {
	if p.backend.target.limits.TimestampPeriod == 0 {
		return nil, kernels.ErrNoTimestamps
	}
	r, err := p.backend.device.NewRecorder(true)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if err := record(r); err != nil {
		return nil, err
	}
	commands, err := r.Finish()
	if err != nil {
		return nil, err
	}
	defer commands.Close()
	if err := p.backend.device.Run(commands, 1); err != nil {
		return nil, err
	}
	return commands.Timestamps()
}

// recordProfile records the section in the order of its ops, with a timestamp
// before the first and after each.
func (p *Program) recordProfile(r *gpu.Recorder, s *section) error {
	r.Timestamp()
	rest := s.dispatches
	for i := range s.source.Ops {
		n := 0
		for n < len(rest) && rest[n].op == i {
			n++
		}
		for _, level := range schedule(rest[:n]) {
			for _, d := range level {
				if err := p.put(r, d); err != nil {
					return opError(s.source, i, err)
				}
			}
			r.Barrier()
		}
		r.Timestamp()
		rest = rest[n:]
	}
	return nil
}
