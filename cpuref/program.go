package cpuref

import (
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"
	"unsafe"

	"github.com/fmnist-gpu/fmnist-gpu/cpuref/internal/simd"
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// program is a compiled plan: its buffers, and each section as a list of
// functions.
type program struct {
	backend  *backend
	room     budget // until Close
	pool     *pool  // the backend's when the program was compiled
	buffers  [][]byte
	versions []uint64 // of each buffer's contents, from 1
	sections map[string]*section
	scratch  scratch
	kept     map[weightsKey]*weights
	lent     map[int][]byte // buffers that are the caller's

	// Of the section that is being compiled: the buffers that it writes, and what
	// joins an op (see takeJoined).
	writes map[int]bool
	joined func(from, to int)
}

// section is a compiled section.
type section struct {
	steps  []step
	writes map[int]bool // buffers
}

// step is one op, ready to run. An error means that the contents of a buffer are
// invalid, such as a label that is not a class; a panic is a bug of this program.
type step struct {
	op     kernels.Op
	run    func() error
	joined bool // computed by an earlier step
}

// scratch is memory that ops use only while they run: one part shared by all
// workers, and one private to each. Ops reserve what they need when they are
// compiled.
type scratch struct {
	shared        []float32
	private       [][]float32 // by worker
	tiles         []simd.Tile // by worker; the vector code's argument block
	sharedLength  int
	privateLength int
}

func (s *scratch) reserveShared(n int)  { s.sharedLength = max(s.sharedLength, n) }
func (s *scratch) reservePrivate(n int) { s.privateLength = max(s.privateLength, n) }

// allocate allocates what was reserved.
func (s *scratch) allocate(workers int) {
	s.shared = floats(allocate(4 * s.sharedLength))
	s.private = make([][]float32, workers)
	for w := range s.private {
		s.private[w] = floats(allocate(4 * s.privateLength))
	}
	s.tiles = make([]simd.Tile, workers)
}

// Compile implements [kernels.Backend].
func (b *backend) Compile(plan *kernels.Plan) (kernels.Program, error) { return b.CompileOn(plan, nil) }

// CompileOn implements [kernels.Borrower].
func (b *backend) CompileOn(plan *kernels.Plan, lent map[int][]byte) (kernels.Program, error) {
	if err := plan.Check(); err != nil {
		return nil, err
	}
	p, err := b.newProgram(plan, lent)
	if errors.Is(err, kernels.ErrOutOfMemory) {
		debug.FreeOSMemory() // what closed programs had counted as used
		p, err = b.newProgram(plan, lent)
	}
	if err != nil {
		return nil, err
	}
	return p, nil
}

// newProgram compiles a plan if there is memory for it.
func (b *backend) newProgram(plan *kernels.Plan, lent map[int][]byte) (*program, error) {
	p := &program{backend: b, room: newBudget(), pool: b.current(), sections: map[string]*section{}, kept: map[weightsKey]*weights{},
		versions: slices.Repeat([]uint64{1}, len(plan.Buffers)), lent: lent}
	if err := p.compilePlan(plan); err != nil {
		_ = p.Close() // it is always nil
		return nil, err
	}
	return p, nil
}

// compilePlan takes memory for a plan and compiles its sections.
func (p *program) compilePlan(plan *kernels.Plan) error {
	if err := p.room.plan(plan, p.lent); err != nil {
		return err
	}
	if err := p.takeBuffers(plan.Buffers); err != nil {
		return err
	}
	for _, s := range plan.Sections {
		var steps []step
		p.writes = written(s)
		for i := 0; i < len(s.Ops); i = len(steps) {
			more, err := p.compileJoined(s.Ops[i:])
			if err != nil {
				return fmt.Errorf("section %q, op %d (%s): %w", s.Name, i, s.Ops[i].Kind(), err)
			}
			steps = append(steps, more...)
		}
		p.sections[s.Name] = &section{steps, p.writes}
	}
	if err := p.room.scratch(&p.scratch, p.pool.workers); err != nil {
		return err
	}
	for _, w := range p.kept {
		if err := p.room.take("transformed weights", w.length, 4); err != nil {
			return err
		}
	}
	p.scratch.allocate(p.pool.workers)
	return nil
}

// takeBuffers allocates the buffers, except those that are lent.
func (p *program) takeBuffers(list []kernels.Buffer) error {
	for i, buffer := range list {
		memory := p.lent[i]
		if memory == nil {
			memory = allocate(buffer.Len * buffer.Type.Size())
		} else if buffer.Type != kernels.Uint8 || len(memory) != buffer.Len {
			return fmt.Errorf("%d bytes are lent for buffer %q of %d %v", len(memory), buffer.Name, buffer.Len, buffer.Type)
		}
		p.buffers = append(p.buffers, memory)
	}
	return nil
}

// written returns the buffers that a section changes.
func written(s *kernels.Section) map[int]bool {
	writes := map[int]bool{}
	for _, op := range s.Ops {
		for _, o := range op.Operands() {
			if o.Access != kernels.Read && !o.Tensor.Absent() {
				writes[o.Tensor.Buffer] = true
			}
		}
	}
	return writes
}

// Run implements [kernels.Program].
func (p *program) Run(section string, times int) error {
	s, err := p.find(section)
	if err != nil {
		return err
	}
	p.backend.turn.Lock()
	defer p.backend.turn.Unlock()
	defer p.changed(s)
	for range times {
		for i := range s.steps {
			if err := s.steps[i].run(); err != nil {
				return fmt.Errorf("section %q, op %d (%s): %w", section, i, s.steps[i].op.Kind(), err)
			}
		}
	}
	return nil
}

// changed records that a section ran.
func (p *program) changed(s *section) {
	for buffer := range s.writes {
		p.versions[buffer]++
	}
}

// Profile implements [kernels.Program].
func (p *program) Profile(section string) ([]kernels.OpTime, error) {
	s, err := p.find(section)
	if err != nil {
		return nil, err
	}
	p.backend.turn.Lock()
	defer p.backend.turn.Unlock()
	defer p.changed(s)
	times := make([]kernels.OpTime, len(s.steps))
	for i, step := range s.steps {
		start := time.Now()
		if err := step.run(); err != nil {
			return nil, fmt.Errorf("section %q, op %d (%s): %w", section, i, step.op.Kind(), err)
		}
		times[i] = kernels.OpTime{Op: step.op, Nanoseconds: time.Since(start).Nanoseconds(), Joined: step.joined}
	}
	return times, nil
}

func (p *program) find(section string) (*section, error) {
	s, ok := p.sections[section]
	if !ok {
		return nil, fmt.Errorf("the plan has no section %q", section)
	}
	return s, nil
}

// Write implements [kernels.Program].
func (p *program) Write(t kernels.Tensor, src []byte) error {
	if len(src) != t.Bytes() {
		return fmt.Errorf("write of %d bytes to %v, which has %d", len(src), t, t.Bytes())
	}
	if p.lent[t.Buffer] != nil {
		return fmt.Errorf("write to %v, whose memory is lent", t)
	}
	copy(p.bytes(t), src)
	p.versions[t.Buffer]++
	return nil
}

// Read implements [kernels.Program].
func (p *program) Read(t kernels.Tensor, dst []byte) error {
	if len(dst) != t.Bytes() {
		return fmt.Errorf("read of %d bytes from %v, which has %d", len(dst), t, t.Bytes())
	}
	copy(dst, p.bytes(t))
	return nil
}

// MemoryBytes implements [kernels.Program]. It counts buffers, scratch and the
// weights that sections keep.
func (p *program) MemoryBytes() int {
	n := 4 * (p.scratch.sharedLength + len(p.scratch.private)*p.scratch.privateLength)
	for _, w := range p.kept {
		n += 4 * w.length
	}
	for _, b := range p.buffers {
		n += len(b)
	}
	return n
}

// Close implements [kernels.Program].
func (p *program) Close() error {
	p.room.Close()
	for i, b := range p.buffers {
		if p.lent[i] == nil {
			adviseSmallPages(b)
		}
	}
	for _, x := range append(p.scratch.private, p.scratch.shared) {
		adviseSmallPages(memoryOf(x))
	}
	for _, w := range p.kept {
		adviseSmallPages(memoryOf(w.kept))
	}
	*p = program{}
	return nil
}

// bytes returns t's memory, nil if t is absent.
func (p *program) bytes(t kernels.Tensor) []byte {
	if t.Absent() {
		return nil
	}
	from := t.Offset * t.Type.Size()
	return p.buffers[t.Buffer][from : from+t.Bytes() : from+t.Bytes()]
}

// floats returns t's memory as float32, nil if t is absent.
func (p *program) floats(t kernels.Tensor) []float32 { return floats(p.bytes(t)) }

// words returns t's memory as uint32, nil if t is absent.
func (p *program) words(t kernels.Tensor) []uint32 {
	b := p.bytes(t)
	if len(b) == 0 {
		return nil
	}
	return unsafe.Slice((*uint32)(unsafe.Pointer(&b[0])), len(b)/4)
}
