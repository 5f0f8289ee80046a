//go:build cgo

package vulkan

import (
	"fmt"
	"time"

	"github.com/fmnist-gpu/fmnist-gpu/gpu"
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// PipelineCacheWarm reports whether the device started from the pipelines that
// an earlier process left (see [gpu.Device.PipelineCacheWarm]).
func (b *Backend) PipelineCacheWarm() bool { return b.device.PipelineCacheWarm() }

// Profile implements [kernels.Program]. The ops run one after the other, each
// between two timestamps, so that their times add up to more than that of a
// run, in which independent ones overlap.
func (p *Program) Profile(name string) ([]kernels.OpTime, error) {
	s, err := p.find(name)
	if err != nil {
		return nil, err
	}
	if p.backend.target.limits.TimestampPeriod == 0 {
		return nil, errNoTimestamps
	}
	commands, err := p.recordProfile(s)
	if err != nil {
		return nil, fmt.Errorf("section %q: %w", name, err)
	}
	defer commands.Close()
	if err := p.backend.device.Run(commands, 1); err != nil {
		return nil, fmt.Errorf("section %q: %w", name, err)
	}
	marks, err := commands.Timestamps()
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
	took, err := p.timed(func(r *gpu.Recorder) error { return p.recordLevels(r, s) })
	if err != nil {
		return 0, fmt.Errorf("section %q: %w", name, err)
	}
	return took, nil
}

// recordProfile records the section in the order of its ops, with a timestamp
// before the first and after each.
func (p *Program) recordProfile(s *section) (*gpu.Commands, error) {
	r, err := p.backend.device.NewRecorder(true)
	if err != nil {
		return nil, err
	}
	defer r.Close()
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
					return nil, opError(s.source, i, err)
				}
			}
			r.Barrier()
		}
		r.Timestamp()
		rest = rest[n:]
	}
	return r.Finish()
}
