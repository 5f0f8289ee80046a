package kernels

import "fmt"

// Alignment is the multiple, in bytes, at which every tensor that an op works
// on starts in its buffer: the strictest storage-buffer offset alignment that
// Vulkan lets a device ask for.
const Alignment = 256

// Buffer is one allocation of a plan, zero when the program starts.
type Buffer struct {
	Name string
	Type DType
	Len  int // elements

	// Replica numbers networks that one plan runs side by side. An op has buffers of
	// one replica, and may also read those of replica 0.
	Replica int
}

// Section is a named list of ops that run in order, as a whole.
type Section struct {
	Name string
	Ops  []Op
}

// Plan is what a backend compiles: buffers, and named sections of ops that
// share them.
type Plan struct {
	Buffers  []Buffer
	Sections []*Section

	// HostBytes is the host memory that whoever runs the plan needs besides it, such as
	// for copies of the weights.
	HostBytes int

	replica int // of new buffers
}

// NextReplica says that the buffers added from now on are those of another replica
// (see [Buffer]).
func (p *Plan) NextReplica() { p.replica++ }

// Tensor adds a buffer to the plan and returns a view of all of it.
func (p *Plan) Tensor(name string, t DType, shape ...int) Tensor {
	v := Tensor{Buffer: len(p.Buffers), Type: t, Shape: append([]int{}, shape...)}
	p.Buffers = append(p.Buffers, Buffer{Name: name, Type: t, Len: v.Len(), Replica: p.replica})
	return v
}

// Arena adds a buffer that grows by one view at a time, so that many tensors
// (such as all parameters) are also one flat tensor.
func (p *Plan) Arena(name string, t DType) *Arena {
	p.Buffers = append(p.Buffers, Buffer{Name: name, Type: t, Replica: p.replica})
	return &Arena{plan: p, buffer: len(p.Buffers) - 1, typ: t}
}

// Section returns the named section, adding it if it is new.
func (p *Plan) Section(name string) *Section {
	if s := p.Find(name); s != nil {
		return s
	}
	s := &Section{Name: name}
	p.Sections = append(p.Sections, s)
	return s
}

// Find returns the named section, or nil.
func (p *Plan) Find(name string) *Section {
	for _, s := range p.Sections {
		if s.Name == name {
			return s
		}
	}
	return nil
}

// Bytes returns the size of all buffers, without a backend's padding.
func (p *Plan) Bytes() int {
	n := 0
	for _, b := range p.Buffers {
		n += b.Len * b.Type.Size()
	}
	return n
}

// Add appends ops to the section.
func (s *Section) Add(ops ...Op) { s.Ops = append(s.Ops, ops...) }

// Check validates every op: its tensors must lie inside buffers of their type
// and have the shapes that the op requires. The error names section, op and
// operand.
func (p *Plan) Check() error {
	for _, s := range p.Sections {
		for i, op := range s.Ops {
			if err := p.checkOp(op); err != nil {
				return fmt.Errorf("section %q, op %d (%s): %w", s.Name, i, op.Kind(), err)
			}
		}
	}
	return nil
}

func (p *Plan) checkOp(op Op) error {
	for _, o := range op.Operands() {
		t := o.Tensor
		if t.Absent() {
			if !o.Optional {
				return fmt.Errorf("%s is missing", o.Name)
			}
			continue
		}
		if t.Buffer < 0 || t.Buffer >= len(p.Buffers) {
			return fmt.Errorf("%s: no buffer %d in the plan", o.Name, t.Buffer)
		}
		b := p.Buffers[t.Buffer]
		if t.Type != b.Type || t.Type != o.Type {
			return fmt.Errorf("%s is %v in buffer %q of %v, want %v", o.Name, t.Type, b.Name, b.Type, o.Type)
		}
		if t.Len() <= 0 || t.Offset < 0 || t.Offset+t.Len() > b.Len {
			return fmt.Errorf("%s %v at %d is outside buffer %q of %d", o.Name, t, t.Offset, b.Name, b.Len)
		}
		if start := t.Offset * t.Type.Size(); start%Alignment != 0 {
			return fmt.Errorf("%s starts at byte %d, which is not a multiple of %d", o.Name, start, Alignment)
		}
	}
	return op.Check()
}

// Arena is a buffer under construction; see [Plan.Arena].
type Arena struct {
	plan   *Plan
	buffer int
	typ    DType
}

// Tensor appends a view at the next aligned offset.
func (a *Arena) Tensor(shape ...int) Tensor {
	b := &a.plan.Buffers[a.buffer]
	t := Tensor{Buffer: a.buffer, Offset: b.Len, Type: a.typ, Shape: append([]int{}, shape...)}
	unit := Alignment / a.typ.Size() // elements
	b.Len += (t.Len() + unit - 1) / unit * unit
	return t
}

// All returns everything appended so far as one flat tensor, padding included.
func (a *Arena) All() Tensor {
	return Tensor{Buffer: a.buffer, Type: a.typ, Shape: []int{a.plan.Buffers[a.buffer].Len}}
}
