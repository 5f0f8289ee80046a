package cpuref

import (
	"fmt"
	"math"
	"unsafe"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/kernels/hostmemory"
)

// budget is the memory that a program reserves. The system would let more be allocated,
// and end the process when it is used.
type budget struct {
	limit hostmemory.Limit
	*hostmemory.Reservation
}

var memoryLimit = hostmemory.Of // tests replace it

func newBudget() budget {
	limit := memoryLimit()
	return budget{limit, limit.Reserve()}
}

// take takes memory for elements of a size.
func (b budget) take(what string, elements, size int) error {
	bytes := int64(elements) * int64(size)
	if bytes >= hugePage {
		bytes = (bytes + hugePage - 1) / hugePage * hugePage // large pages cover it
	}
	if int64(elements) > math.MaxInt64/2/int64(size) || !b.Take(bytes) {
		return fmt.Errorf("%w: with %s the plan needs more than is left of the %v; use a smaller batch or network", kernels.ErrOutOfMemory, what, b.limit)
	}
	return nil
}

// plan takes memory for a plan's buffers, except those that are lent, and for its user.
func (b budget) plan(p *kernels.Plan, lent map[int][]byte) error {
	for i, x := range p.Buffers {
		if lent[i] != nil {
			continue
		}
		if err := b.take(x.Name, x.Len, x.Type.Size()); err != nil {
			return err
		}
	}
	return b.take("copies of its weights", p.HostBytes, 1)
}

// scratch takes memory for what ops use while they run.
func (b budget) scratch(s *scratch, workers int) error {
	if err := b.take("intermediate results", s.sharedLength, 4); err != nil {
		return err
	}
	return b.take("intermediate results of each thread", s.privateLength, 4*workers)
}

// Fits implements [kernels.Budgeter]. It does not count intermediate results and
// transformed weights, which Compile does.
func (b *backend) Fits(p *kernels.Plan) error {
	room := newBudget()
	defer room.Close()
	return room.plan(p, nil)
}

// cacheLine is the alignment of buffers and scratch in bytes, also the size of a
// vector of 16 float32.
const cacheLine = 64

// overread is the number of bytes after a buffer that the vector code may read
// and ignore: a tile reads B in whole tile rows (see simd.Tile).
const overread = 4 * 32

// hugePage is the size in bytes of a large page of amd64 and of most arm64 systems.
const hugePage = 2 << 20

// allocate returns n zero bytes that start on a cache line or, so that large pages cover
// them, on a large page.
func allocate(n int) []byte {
	if n == 0 {
		return nil
	}
	start := cacheLine
	if n >= hugePage {
		start = hugePage
	}
	b := make([]byte, n+start+overread)
	adviseHugePages(b)
	skip := -int(uintptr(unsafe.Pointer(&b[0]))) & (start - 1)
	return b[skip : skip+n : skip+n]
}

// memoryOf returns the memory of x, the inverse of floats.
func memoryOf(x []float32) []byte {
	if len(x) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&x[0])), 4*len(x))
}

// floats returns the memory of b as float32.
func floats(b []byte) []float32 {
	if len(b) == 0 {
		return nil
	}
	return unsafe.Slice((*float32)(unsafe.Pointer(&b[0])), len(b)/4)
}
