//go:build cgo

package vulkan

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/fmnist-gpu/fmnist-gpu/gpu"
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/kernels/hostmemory"
	"github.com/fmnist-gpu/fmnist-gpu/shaders"
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

// Fits implements [kernels.Budgeter].
func (b *Backend) Fits(plan *kernels.Plan) error {
	p := &Program{backend: b, layout: newLayout(plan), sections: map[string]*section{}}
	_, sizes, err := p.lower(plan)
	if err != nil {
		return err
	}
	room, err := b.reserve(plan.HostBytes, sizes)
	room.Close()
	return err
}

// compilerBytes is what a software driver needs to compile shaders: Mesa's took 220 to 280
// MiB for the training steps of FashionCNN.
const compilerBytes = 288 << 20

// reserve returns an error if there is no room for buffers of the given sizes. Those of a
// software driver are memory of this process, and reserved besides what the driver and the
// plan's user need.
func (b *Backend) reserve(hostBytes int, sizes []int64) (*hostmemory.Reservation, error) {
	sizes = slices.DeleteFunc(slices.Clone(sizes), func(size int64) bool { return size == 0 })
	limit, needs := hostmemory.Of(), int64(hostBytes)
	if b.target.cpu {
		if !b.compilerFits(limit) {
			return nil, fmt.Errorf("%w: %s needs %d MiB to compile shaders, more than is left of the %v; train on the CPU itself", gpu.ErrOutOfMemory, b.Name(), compilerBytes>>20, limit)
		}
		for _, size := range sizes {
			needs += size
		}
	}
	room := limit.Reserve()
	if !room.Take(needs) {
		return room, fmt.Errorf("%w: %s needs %d MiB, more than is left of the %v; use a smaller batch or network", gpu.ErrOutOfMemory, b.Name(), needs>>20, limit)
	}
	return room, b.device.Fits(sizes)
}

// compilerFits reserves what a software driver needs, once.
func (b *Backend) compilerFits(limit hostmemory.Limit) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.compiler == nil {
		if room := limit.Reserve(); room.Take(compilerBytes) {
			b.compiler = room
		}
	}
	return b.compiler != nil
}

func (p *Program) compile(plan *kernels.Plan) error {
	all, sizes, err := p.lower(plan)
	if err != nil {
		return err
	}
	if p.room, err = p.backend.reserve(plan.HostBytes, sizes); err != nil { // before pipelines, which take seconds
		return err
	}
	if err := p.backend.createPipelines(all); err != nil {
		return err
	}
	if err := p.allocate(sizes); err != nil {
		return err
	}
	for _, s := range p.sections {
		if err := p.record(s); err != nil {
			return err
		}
	}
	return nil
}

// lower plans the dispatches of every section. It returns them and the sizes of the
// arenas, that of scratch last.
func (p *Program) lower(plan *kernels.Plan) (all []dispatch, sizes []int64, err error) {
	scratch := int64(0) // sections do not share any, or they would spoil each other's counters
	target, err := p.backend.targetFor(plan)
	if err != nil {
		return nil, nil, err
	}
	for _, s := range plan.Sections {
		l := lowering{target: target, layout: p.layout, scratchEnd: scratch}
		if err := l.section(s); err != nil {
			return nil, nil, err
		}
		for i := range l.out {
			if err := target.admits(&l.out[i]); err != nil {
				return nil, nil, opError(s, l.out[i].op, err)
			}
		}
		p.sections[s.Name] = &section{source: s, dispatches: l.out}
		all = append(all, l.out...)
		scratch = l.scratchEnd
	}
	return all, append(slices.Clone(p.layout.arenas), scratch), nil
}

// allocate makes the arenas, that of scratch last.
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

// record writes a section's command buffers.
func (p *Program) record(s *section) error {
	for _, levels := range p.backend.target.parts(schedule(s.dispatches)) {
		if err := p.recordPart(s, levels); err != nil {
			return err
		}
	}
	return nil
}

// recordPart writes a command buffer of some of a section's levels.
func (p *Program) recordPart(s *section, levels [][]dispatch) error {
	r, err := p.backend.device.NewRecorder(false)
	if err != nil {
		return fmt.Errorf("section %q: %w", s.source.Name, err)
	}
	defer r.Close()
	if err := p.recordLevels(r, s, levels, r.Barrier); err != nil {
		return err
	}
	commands, err := r.Finish()
	if err != nil {
		return fmt.Errorf("section %q: %w", s.source.Name, err)
	}
	s.commands = append(s.commands, commands)
	return nil
}

// recordLevels records levels of a section, with what barrier records between them.
func (p *Program) recordLevels(r *gpu.Recorder, s *section, levels [][]dispatch, barrier func()) error {
	for i, level := range levels {
		if i > 0 {
			barrier()
		}
		ordered := 0
		for j, d := range level {
			if p.backend.validates && slices.ContainsFunc(level[ordered:j], func(before dispatch) bool { return seemToConflict(&before, &d) }) {
				r.Barrier()
				ordered = j
			}
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
	bound, offsets, err := bind(&d)
	if err != nil {
		return err
	}
	regions := make([]gpu.Region, len(bound))
	for i, a := range bound {
		regions[i] = p.binding(a.span)
	}
	x, y := p.backend.target.grid(d.groups)
	return r.Dispatch(p.backend.pipeline(&d), regions, append(slices.Clone(d.push), offsets...), x, y, d.splits)
}

// admits returns an error that wraps [gpu.ErrOutOfMemory] if a dispatch binds more memory at
// once, or has more workgroups, than the device allows.
func (t *target) admits(d *dispatch) error {
	if d.isFill() {
		return nil
	}
	bound, _, err := bind(d)
	if err != nil {
		return err
	}
	for _, a := range bound {
		if most := t.limits.StorageBufferRange; a.size > most-vec4Bytes {
			return fmt.Errorf("%w: %s needs %d MiB in one piece, and the device allows %d; use a smaller batch or network", gpu.ErrOutOfMemory, d.shader, a.size>>20, most>>20)
		}
	}
	x, y := t.grid(d.groups)
	if most := t.limits.MaxWorkgroupCount; x > most[0] || y > most[1] || d.splits > most[2] {
		return fmt.Errorf("%w: %s needs %d×%d×%d workgroups, and the device allows %d×%d×%d; use a smaller batch or network",
			gpu.ErrOutOfMemory, d.shader, x, y, d.splits, most[0], most[1], most[2])
	}
	return nil
}

// bind returns what a dispatch's bindings hold, and the offsets of buffers that share
// one, as push constants (see shaders.Buffer).
func bind(d *dispatch) (bound []arg, offsets []byte, err error) {
	m, err := shaders.Get(d.shader)
	if err != nil {
		return nil, nil, err
	}
	bound = make([]arg, m.Bindings)
	for i, a := range d.args {
		if b := &bound[m.Buffers[i].Binding]; !a.unused() {
			if !b.unused() && b.arena != a.arena {
				return nil, nil, fmt.Errorf("%w: the buffers of binding %d lie in different allocations; use a smaller batch or network", gpu.ErrOutOfMemory, m.Buffers[i].Binding)
			}
			*b = b.with(a)
		}
	}
	written := d.args[slices.IndexFunc(d.args, func(a arg) bool { return a.access&kernels.Write != 0 })]
	for i := range bound {
		if bound[i].unused() { // but a binding must hold something
			bound[i] = written
		}
	}
	for i, b := range m.Buffers {
		if b.Shared {
			at := int64(0)
			if a := d.args[i]; !a.unused() {
				at = (a.offset - bound[b.Binding].offset) / int64(b.Stride)
			}
			offsets = binary.LittleEndian.AppendUint32(offsets, uint32(at))
		}
	}
	return bound, offsets, nil
}

// with returns the smallest arg that spans two of one arena; a may be unused.
func (a arg) with(b arg) arg {
	if a.unused() {
		return b
	}
	start, end := min(a.offset, b.offset), max(a.offset+a.size, b.offset+b.size)
	return arg{span{a.arena, start, end - start}, a.access | b.access}
}

// region is a span as the device knows it.
func (p *Program) region(s span) gpu.Region {
	return gpu.Region{Buffer: p.arenas[s.arena], Offset: s.offset, Size: s.size}
}

// vec4Bytes is the size of what shaders load at a time.
const vec4Bytes = 16

// binding is a region rounded up to whole vec4s, as shaders load them. The
// padding of buffers makes room for that.
func (p *Program) binding(s span) gpu.Region {
	r := p.region(s)
	r.Size = (r.Size + vec4Bytes - 1) / vec4Bytes * vec4Bytes
	return r
}

// opError names the section and the op of an error.
func opError(s *kernels.Section, op int, err error) error {
	return fmt.Errorf("section %q, op %d (%s): %w", s.Name, op, s.Ops[op].Kind(), err)
}
