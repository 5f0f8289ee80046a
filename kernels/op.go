package kernels

import (
	"fmt"
	"time"
)

// Op is one operation of a plan: a struct of this package, passed by value. It
// must not change once it is in a section: copies share their tensors' shapes.
// Backends switch on its dynamic type.
type Op interface {
	// Kind returns the struct's name, such as "ConvForward".
	Kind() string
	// Operands lists the op's tensors in the order of its fields.
	Operands() []Operand
	// Check returns an error that names the operand whose shape, or the
	// parameter whose value, is invalid.
	Check() error
	// FLOPs returns the conventional count of floating-point operations in
	// one run (2·M·N·K for a GEMM).
	FLOPs() int
}

// Access says what an op does with an operand.
type Access uint8

// Read, write, or both. The op ignores the old contents of a Write operand, and of a
// Scratch operand, whose contents are undefined afterwards.
const (
	Read Access = 1 << iota
	Write
	Scratch
	ReadWrite = Read | Write
)

// Operand is a tensor and its role in an op.
type Operand struct {
	Name     string
	Tensor   Tensor
	Type     DType
	Access   Access
	Optional bool
}

// Traffic returns the fewest bytes that an op reads and writes: each operand but scratch
// once per access, or what the op's own Traffic method returns.
func Traffic(op Op) int {
	if t, ok := op.(interface{ Traffic() int }); ok {
		return t.Traffic()
	}
	bytes := 0
	for _, o := range op.Operands() {
		for _, access := range []Access{Read, Write} {
			if o.Access&access != 0 {
				bytes += o.Tensor.Bytes()
			}
		}
	}
	return bytes
}

// Backend compiles plans for one device.
type Backend interface {
	// Name describes the device for display: "llvmpipe (Vulkan)".
	Name() string
	// Compile checks the plan, allocates its buffers (zeroed) and prepares
	// every section. The plan must not change afterwards.
	Compile(p *Plan) (Program, error)
	// Close releases the device. Programs must be closed before it.
	Close() error
}

// Program is a compiled plan with its memory. Its methods are not safe for
// concurrent use.
type Program interface {
	// Run executes a section the given number of times, in few submissions,
	// and returns when the results can be read. The error names the section
	// and, if known, the op or the cause (out of memory, device lost).
	Run(section string, times int) error
	// Write copies src into t. len(src) must be t.Bytes().
	Write(t Tensor, src []byte) error
	// Read copies t into dst. len(dst) must be t.Bytes().
	Read(t Tensor, dst []byte) error
	// Profile runs a section once, as Run(section, 1) does, and returns the
	// time of each op, in order.
	Profile(section string) ([]OpTime, error)
	// MemoryBytes returns the device memory that the program has allocated.
	MemoryBytes() int
	// Close frees the program's memory.
	Close() error
}

// OpTime is one op's share of a profiled run.
type OpTime struct {
	Op          Op
	Nanoseconds int64
	Dispatches  int  // on the device's queue; 0 on the CPU
	Joined      bool // computed by an earlier op's dispatch
}

// StepTimer is a [Program] whose device has its own clock.
type StepTimer interface {
	// TimeStep runs a section once and returns the time it took on the
	// device, including barriers but not the host's overhead between runs.
	TimeStep(section string) (time.Duration, error)
	// TimeBetweenDispatches runs a section once, with timestamps around its
	// barriers, and returns the total time during which no dispatch ran: from
	// the end of the last dispatch before each barrier to the end of the
	// barrier, cache operations included, less the cost of the timestamps.
	// The time to launch the first workgroup after a barrier counts as part
	// of its dispatch, because timestamps cannot separate them. Dispatches
	// without a barrier between them may overlap and have no gap.
	TimeBetweenDispatches(section string) (time.Duration, error)
}

// in, out and inout build float32 operands, the common case.
func in(name string, t Tensor) Operand {
	return Operand{Name: name, Tensor: t, Type: Float32, Access: Read}
}

func out(name string, t Tensor) Operand {
	return Operand{Name: name, Tensor: t, Type: Float32, Access: Write}
}

func inout(name string, t Tensor) Operand {
	return Operand{Name: name, Tensor: t, Type: Float32, Access: ReadWrite}
}

// of changes an operand's element type; optional lets it be absent.
func (o Operand) of(t DType) Operand { o.Type = t; return o }
func (o Operand) optional() Operand  { o.Optional = true; return o }

// want returns an error unless t has exactly the given shape.
func want(name string, t Tensor, shape ...int) error {
	same := len(t.Shape) == len(shape)
	for i := 0; same && i < len(shape); i++ {
		same = t.Shape[i] == shape[i]
	}
	if !same {
		return fmt.Errorf("%s has shape %v, want %v", name, t.Shape, shape)
	}
	return nil
}

// wantIfPresent is want for an optional operand.
func wantIfPresent(name string, t Tensor, shape ...int) error {
	if t.Absent() {
		return nil
	}
	return want(name, t, shape...)
}

// rank returns an error unless t has n axes.
func rank(name string, t Tensor, n int) error {
	if len(t.Shape) != n {
		return fmt.Errorf("%s has shape %v, want %d axes", name, t.Shape, n)
	}
	return nil
}

// first returns the first non-nil error.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
