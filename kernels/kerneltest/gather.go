package kerneltest

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// Gather is a case of [kernels.Gather]. The op only copies, so it is exact.
type Gather struct {
	M, H, W int // images
	C       int // channels, 0 for 1
	N       int // batch
	Entries int // of Order
	Cursor  int

	Rotate bool
	kernels.Augment
	Seed  uint64
	Epoch uint32
}

// String describes the case.
func (c Gather) String() string {
	s := fmt.Sprintf("%d_of_%dx%dx%d_at_%d_of_%d", c.N, c.M, c.H, c.W, c.Cursor, c.Entries)
	if c.C > 1 {
		s += fmt.Sprintf("_channels%d", c.C)
	}
	if c.Rotate || c.Augment != (kernels.Augment{}) {
		s += fmt.Sprintf("_rotate%t_flip%d_crop%d_erase%x_seed%x_epoch%d", c.Rotate, c.Flip, c.Crop, c.Erase, c.Seed, c.Epoch)
	}
	return s
}

// Trial implements [Case].
func (c Gather) Trial() *Trial {
	t := newTrial()
	channels := max(c.C, 1)
	anyByte := func(r *rand.Rand, _ int) uint8 { return uint8(r.Uint32()) }
	op := kernels.Gather{
		Images: t.pixels("Images", anyByte, c.M, c.H, c.W, channels),
		Labels: t.pixels("Labels", anyByte, c.M),
		Order:  t.words("Order", func(r *rand.Rand, _ int) uint32 { return r.Uint32N(uint32(c.M)) }, c.Entries),
		State:  t.state(kernels.State{Cursor: uint32(c.Cursor), Slot: 3, Step: 5, Seed: c.Seed, Epoch: c.Epoch}),
		Table: t.floats("Table", func(_ *rand.Rand, i int) float32 {
			return (float32(i%256)/255 - 0.5) / (0.5 + 0.1*float32(i/256))
		}, channels, 256),
		X: t.output("X", c.N, c.H, c.W, channels),
		Y: t.outputWords("Y", c.N),

		Augment: c.Augment,
	}
	if c.Rotate { // up to a quarter turn
		op.Rotations = t.words("Rotations", func(_ *rand.Rand, i int) uint32 {
			sin, cos := math.Sincos(float64(i/2-3) / 2)
			return uint32(int32(math.Round(65536 * []float64{cos, sin}[i%2])))
		}, 7, 2)
	}
	if c.Erase > 0 {
		op.Erasures = t.words("Erasures", func(r *rand.Rand, _ int) uint32 {
			return uint32(1+r.IntN(c.H))<<16 | uint32(1+r.IntN(c.W))
		}, 13)
	}
	return t.run(op)
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

		Gather{M: 9, H: 3, W: 5, C: 3, N: 7, Entries: 20, Cursor: 13},
		Gather{M: 50, H: 32, W: 32, C: 3, N: 33, Entries: 60, Cursor: 2},
		Gather{M: 20, H: 1, W: 2, C: 2, N: 5, Entries: 9},

		Gather{M: 40, H: 28, W: 28, N: 33, Entries: 60, Cursor: 5, Rotate: true, Seed: 42},
		Gather{M: 40, H: 5, W: 8, N: 33, Entries: 60, Cursor: 5, Rotate: true, Seed: 43},
		Gather{M: 40, H: 28, W: 28, N: 33, Entries: 60, Augment: kernels.Augment{Flip: kernels.FlipRandom}, Seed: 42},
		Gather{M: 40, H: 3, W: 7, N: 33, Entries: 60, Augment: kernels.Augment{Flip: kernels.FlipAlternating}, Seed: 42},
		Gather{M: 40, H: 3, W: 7, N: 33, Entries: 60, Augment: kernels.Augment{Flip: kernels.FlipAlternating}, Seed: 42, Epoch: 7},
		Gather{M: 40, H: 28, W: 28, N: 33, Entries: 60, Augment: kernels.Augment{Crop: 4}, Seed: 1 << 40},
		Gather{M: 40, H: 4, W: 9, N: 33, Entries: 60, Augment: kernels.Augment{Crop: 4}, Seed: 5}, // some images are shifted out of the frame
		Gather{M: 40, H: 28, W: 28, N: 33, Entries: 60, Augment: kernels.Augment{Erase: 1 << 31}, Seed: 42},
		Gather{M: 90, H: 28, W: 28, N: 64, Entries: 90, Rotate: true, Seed: 42, Epoch: 3,
			Augment: kernels.Augment{Flip: kernels.FlipRandom, Crop: 4, Erase: 1 << 30}},
		Gather{M: 90, H: 7, W: 11, N: 64, Entries: 90, Rotate: true, Seed: 0xFEDCBA9876543210, Epoch: 4,
			Augment: kernels.Augment{Flip: kernels.FlipAlternating, Crop: 2, Erase: 0xFFFFFFFF}},
		Gather{M: 40, H: 9, W: 12, C: 3, N: 33, Entries: 60, Cursor: 5, Augment: kernels.Augment{Flip: kernels.FlipRandom}, Seed: 3},
		Gather{M: 40, H: 32, W: 32, C: 3, N: 33, Entries: 60, Rotate: true, Seed: 42, Epoch: 3,
			Augment: kernels.Augment{Flip: kernels.FlipRandom, Crop: 4, Erase: 1 << 31}},
	}
}
