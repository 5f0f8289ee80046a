//go:build cgo

package vulkan

import (
	"errors"
	"fmt"

	"github.com/fmnist-gpu/fmnist-gpu/gpu"
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// Compile implements [kernels.Backend].
func (b *Backend) Compile(p *kernels.Plan) (kernels.Program, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	program := &Program{backend: b, layout: newLayout(p), sections: map[string]*section{}}
	if err := program.compile(p); err != nil {
		return nil, errors.Join(err, program.Close())
	}
	return program, nil
}

func (p *Program) compile(plan *kernels.Plan) error {
	var all []dispatch
	scratch, counters := int64(0), int64(0)
	for _, s := range plan.Sections {
		l := lowering{target: p.backend.target, layout: p.layout}
		if err := l.section(s); err != nil {
			return err
		}
		p.sections[s.Name] = &section{source: s, dispatches: l.out}
		all = append(all, l.out...)
		scratch, counters = max(scratch, l.scratchEnd), max(counters, l.counterEnd)
	}
	if err := p.backend.createPipelines(all); err != nil {
		return err
	}
	if err := p.allocate(append(p.layout.arenas, scratch, counters)); err != nil {
		return err
	}
	for _, s := range p.sections {
		if err := p.record(s); err != nil {
			return err
		}
	}
	return nil
}

// allocate makes the arenas, those of scratch and of counters last.
func (p *Program) allocate(sizes []int64) error {
	for _, size := range sizes {
		if size == 0 {
			p.arenas = append(p.arenas, nil)
			continue
		}
		b, err := p.backend.device.NewBuffer(size)
		if err != nil {
			return err
		}
		p.arenas = append(p.arenas, b)
	}
	return nil
}

// record writes a section's command buffer.
func (p *Program) record(s *section) error {
	r, err := p.backend.device.NewRecorder(false)
	if err != nil {
		return fmt.Errorf("section %q: %w", s.source.Name, err)
	}
	defer r.Close()
	if err := p.recordLevels(r, s, r.Barrier); err != nil {
		return err
	}
	if s.commands, err = r.Finish(); err != nil {
		return fmt.Errorf("section %q: %w", s.source.Name, err)
	}
	return nil
}

// recordLevels records a section's dispatches, with what barrier records
// between levels.
func (p *Program) recordLevels(r *gpu.Recorder, s *section, barrier func()) error {
	for i, level := range schedule(s.dispatches) {
		if i > 0 {
			barrier()
		}
		for _, d := range level {
			if err := p.put(r, d); err != nil {
				return opError(s.source, d.op, err)
			}
		}
	}
	return nil
}

// put records one dispatch.
func (p *Program) put(r *gpu.Recorder, d dispatch) error {
	if d.isFill() {
		return r.Fill(p.region(d.args[0].span), d.word)
	}
	regions := make([]gpu.Region, len(d.args))
	for i, a := range d.args {
		regions[i] = p.binding(a.span)
	}
	x, y := p.backend.target.grid(d.groups)
	return r.Dispatch(p.backend.pipeline(&d), regions, d.push, x, y, d.splits)
}

// region is a span as the device knows it.
func (p *Program) region(s span) gpu.Region {
	return gpu.Region{Buffer: p.arenas[s.arena], Offset: s.offset, Size: s.size}
}

// binding is a region rounded up to whole vec4s, as shaders load them. The
// padding of buffers makes room for that.
func (p *Program) binding(s span) gpu.Region {
	const vec4Bytes = 16
	r := p.region(s)
	r.Size = (r.Size + vec4Bytes - 1) / vec4Bytes * vec4Bytes
	return r
}

// opError names the section and the op of an error.
func opError(s *kernels.Section, op int, err error) error {
	return fmt.Errorf("section %q, op %d (%s): %w", s.Name, op, s.Ops[op].Kind(), err)
}
