package cpuref

import (
	"errors"
	"fmt"
	"math"
	"unsafe"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// ErrOutOfMemory is the error of a plan that needs more memory than the machine has.
var ErrOutOfMemory = errors.New("out of memory")

// checkRoom rejects buffers that cannot fit. The system would let them be allocated,
// and end the process when they are used.
func checkRoom(buffers []kernels.Buffer) error {
	has := systemMemory()
	if has == 0 {
		has = math.MaxInt / 2
	}
	needs := 0
	for _, b := range buffers {
		size := b.Type.Size()
		if b.Len > (has-needs)/size {
			return fmt.Errorf("%w: with %s the plan needs more than the %.1f GiB that this machine has; use a smaller batch or network",
				ErrOutOfMemory, b.Name, float64(has)/(1<<30))
		}
		needs += b.Len * size
	}
	return nil
}

// cacheLine is the alignment of buffers and scratch in bytes, also the size of a
// vector of 16 float32.
const cacheLine = 64

// overread is the number of bytes after a buffer that the vector code may read
// and ignore: a tile reads B in whole tile rows (see simd.Tile).
const overread = 4 * 32

// allocate returns n zero bytes that start on a cache line.
func allocate(n int) []byte {
	if n == 0 {
		return nil
	}
	b := make([]byte, n+cacheLine+overread)
	adviseHugePages(b)
	skip := -int(uintptr(unsafe.Pointer(&b[0]))) & (cacheLine - 1)
	return b[skip : skip+n : skip+n]
}

// floats returns the memory of b as float32.
func floats(b []byte) []float32 {
	if len(b) == 0 {
		return nil
	}
	return unsafe.Slice((*float32)(unsafe.Pointer(&b[0])), len(b)/4)
}
