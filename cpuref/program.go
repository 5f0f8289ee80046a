package cpuref

import (
	"fmt"
	"time"
	"unsafe"

	"github.com/fmnist-gpu/fmnist-gpu/cpuref/internal/simd"
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// program is a compiled plan: its buffers, and each section as a list of
// functions.
type program struct {
	backend  *backend
	buffers  [][]byte
	sections map[string][]step
	scratch  scratch

	joined func(from, to int) // see takeJoined
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
func (b *backend) Compile(plan *kernels.Plan) (kernels.Program, error) {
	if err := plan.Check(); err != nil {
		return nil, err
	}
	p := &program{backend: b, sections: map[string][]step{}}
	for _, buffer := range plan.Buffers {
		p.buffers = append(p.buffers, allocate(buffer.Len*buffer.Type.Size()))
	}
	for _, s := range plan.Sections {
		var steps []step
		for i := 0; i < len(s.Ops); i = len(steps) {
			more, err := p.compileJoined(s.Ops[i:])
			if err != nil {
				return nil, fmt.Errorf("section %q, op %d (%s): %w", s.Name, i, s.Ops[i].Kind(), err)
			}
			steps = append(steps, more...)
		}
		p.sections[s.Name] = steps
	}
	p.scratch.allocate(b.pool.workers)
	return p, nil
}

// Run implements [kernels.Program].
func (p *program) Run(section string, times int) error {
	steps, err := p.find(section)
	if err != nil {
		return err
	}
	p.backend.turn.Lock()
	defer p.backend.turn.Unlock()
	for range times {
		for i := range steps {
			if err := steps[i].run(); err != nil {
				return fmt.Errorf("section %q, op %d (%s): %w", section, i, steps[i].op.Kind(), err)
			}
		}
	}
	return nil
}

// Profile implements [kernels.Program].
func (p *program) Profile(section string) ([]kernels.OpTime, error) {
	steps, err := p.find(section)
	if err != nil {
		return nil, err
	}
	p.backend.turn.Lock()
	defer p.backend.turn.Unlock()
	times := make([]kernels.OpTime, len(steps))
	for i := range steps {
		start := time.Now()
		if err := steps[i].run(); err != nil {
			return nil, fmt.Errorf("section %q, op %d (%s): %w", section, i, steps[i].op.Kind(), err)
		}
		times[i] = kernels.OpTime{Op: steps[i].op, Nanoseconds: time.Since(start).Nanoseconds(), Joined: steps[i].joined}
	}
	return times, nil
}

func (p *program) find(section string) ([]step, error) {
	steps, ok := p.sections[section]
	if !ok {
		return nil, fmt.Errorf("the plan has no section %q", section)
	}
	return steps, nil
}

// Write implements [kernels.Program].
func (p *program) Write(t kernels.Tensor, src []byte) error {
	if len(src) != t.Bytes() {
		return fmt.Errorf("write of %d bytes to %v, which has %d", len(src), t, t.Bytes())
	}
	copy(p.bytes(t), src)
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

// MemoryBytes implements [kernels.Program]. It counts buffers and scratch.
func (p *program) MemoryBytes() int {
	n := 4 * (p.scratch.sharedLength + len(p.scratch.private)*p.scratch.privateLength)
	for _, b := range p.buffers {
		n += len(b)
	}
	return n
}

// Close implements [kernels.Program].
func (p *program) Close() error {
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
