package kerneltest

import (
	"fmt"
	"math/rand/v2"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// Gather is a case of [kernels.Gather]. The op only copies, so it is exact.
type Gather struct {
	M, H, W int // images
	N       int // batch
	Entries int // of Order
	Cursor  int
}

// String describes the case.
func (c Gather) String() string {
	return fmt.Sprintf("%d_of_%dx%dx%d_at_%d_of_%d", c.N, c.M, c.H, c.W, c.Cursor, c.Entries)
}

// Trial implements [Case].
func (c Gather) Trial() *Trial {
	t := newTrial()
	anyByte := func(r *rand.Rand, _ int) uint8 { return uint8(r.Uint32()) }
	return t.run(kernels.Gather{
		Images: t.pixels("Images", anyByte, c.M, c.H, c.W),
		Labels: t.pixels("Labels", anyByte, c.M),
		Order:  t.words("Order", func(r *rand.Rand, _ int) uint32 { return r.Uint32N(uint32(c.M)) }, c.Entries),
		State:  t.state(kernels.State{Cursor: uint32(c.Cursor), Slot: 3, Step: 5}),
		Table:  t.floats("Table", func(_ *rand.Rand, i int) float32 { return (float32(i)/255 - 0.5) / 0.5 }, 256),
		X:      t.output("X", c.N, c.H, c.W, 1),
		Y:      t.outputWords("Y", c.N),
	})
}

func gatherCases() []Case {
	return []Case{
		Gather{M: 1, H: 1, W: 1, N: 1, Entries: 1},
		Gather{M: 7, H: 1, W: 3, N: 2, Entries: 5, Cursor: 3}, // images start at odd bytes
		Gather{M: 11, H: 5, W: 7, N: 9, Entries: 40, Cursor: 31},
		Gather{M: 100, H: 28, W: 28, N: 1, Entries: 100, Cursor: 99},
		Gather{M: 100, H: 28, W: 28, N: 32, Entries: 100, Cursor: 64},
		Gather{M: 1000, H: 28, W: 28, N: 64, Entries: 1000, Cursor: 640},
		Gather{M: 300, H: 28, W: 28, N: 257, Entries: 400, Cursor: 17},
	}
}
