package kerneltest

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// MaxPool is the shape of a pooling case.
type MaxPool struct {
	N, H, W, C   int
	Size, Stride int
}

// MaxPoolForward is a case of [kernels.MaxPoolForward].
type MaxPoolForward struct {
	MaxPool
	Values  string // "mixed", "ties" (few distinct values), "nan" (some), "infinite" (−∞ mostly)
	NoIndex bool
}

// MaxPoolBackward is a case of [kernels.MaxPoolBackward].
type MaxPoolBackward struct {
	MaxPool
	Integers bool // exact data
}

// String describes the shape: "2x7x7x3_size3_stride2".
func (c MaxPool) String() string {
	return fmt.Sprintf("%dx%dx%dx%d_size%d_stride%d", c.N, c.H, c.W, c.C, c.Size, c.Stride)
}

// String describes the case.
func (c MaxPoolForward) String() string {
	s := c.MaxPool.String() + "_" + c.Values
	if c.NoIndex {
		s += "_noindex"
	}
	return s
}

// String describes the case.
func (c MaxPoolBackward) String() string {
	if c.Integers {
		return c.MaxPool.String() + "_integers"
	}
	return c.MaxPool.String()
}

func (c MaxPool) x() []int { return []int{c.N, c.H, c.W, c.C} }
func (c MaxPool) y() []int {
	return []int{c.N, kernels.ConvOutput(c.H, c.Size, c.Stride, 0), kernels.ConvOutput(c.W, c.Size, c.Stride, 0), c.C}
}

// values returns the named distribution.
func (c MaxPoolForward) values() fill {
	switch c.Values {
	case "ties":
		return func(r *rand.Rand, _ int) float32 { return float32(r.IntN(3) - 2) }
	case "nan":
		// At most one NaN per window, in every third pixel's row and column
		// of some channels: the contract does not say which of two wins.
		return func(r *rand.Rand, i int) float32 {
			h, w := i/c.C/c.W%c.H, i/c.C%c.W
			if h%c.Size == c.Size-1 && w%c.Size == 1 && r.IntN(2) == 0 {
				return float32(math.NaN())
			}
			return mixed(r, i)
		}
	case "infinite":
		return func(r *rand.Rand, i int) float32 {
			if r.IntN(8) == 0 {
				return -math.MaxFloat32
			}
			return float32(math.Inf(-1))
		}
	}
	return mixed
}

// Trial implements [Case]. The op only selects, so it is exact.
func (c MaxPoolForward) Trial() *Trial {
	t := newTrial()
	op := kernels.MaxPoolForward{Size: c.Size, Stride: c.Stride}
	op.X = t.floats("X", c.values(), c.x()...)
	op.Y = t.output("Y", c.y()...)
	if !c.NoIndex {
		op.Index = t.outputWords("Index", c.y()...)
	}
	return t.run(op)
}

// maxPoolBackwardBounds: an element sums the gradients of the windows it lies
// in, at most ⌈Size/Stride⌉² of them; a single one is copied.
func maxPoolBackwardBounds(op kernels.MaxPoolBackward) map[string]Bound {
	overlap := (op.Size + op.Stride - 1) / op.Stride
	if overlap == 1 {
		return nil
	}
	return map[string]Bound{"DX": sumBound("DX", overlap*overlap)}
}

// Trial implements [Case].
func (c MaxPoolBackward) Trial() *Trial {
	t := newTrial()
	op := kernels.MaxPoolBackward{Size: c.Size, Stride: c.Stride}
	data := mixed
	if c.Integers {
		data = integers
		t.exact = []string{"DX"}
	}
	op.DY = t.floats("DY", data, c.y()...)
	op.Index = t.words("Index", func(r *rand.Rand, _ int) uint32 { return r.Uint32N(uint32(c.Size * c.Size)) }, c.y()...)
	op.DX = t.output("DX", c.x()...)
	return t.run(op)
}

var poolShapes = []MaxPool{
	{N: 1, H: 1, W: 1, C: 1, Size: 1, Stride: 1},
	{N: 1, H: 2, W: 2, C: 1, Size: 2, Stride: 2},
	{N: 2, H: 4, W: 6, C: 3, Size: 2, Stride: 2},
	{N: 3, H: 7, W: 7, C: 5, Size: 2, Stride: 2}, // the last row and column do not fill a window
	{N: 2, H: 9, W: 7, C: 17, Size: 3, Stride: 2},
	{N: 2, H: 8, W: 8, C: 33, Size: 3, Stride: 1},
	{N: 1, H: 9, W: 10, C: 4, Size: 2, Stride: 3}, // some elements lie in no window
	{N: 1, H: 5, W: 9, C: 64, Size: 4, Stride: 2},
	{N: 2, H: 6, W: 6, C: 65, Size: 3, Stride: 3},
}

// modelPools are the poolings of fashioncnn and alternative.
func modelPools(batch int) []MaxPool {
	return []MaxPool{
		{N: batch, H: 28, W: 28, C: 32, Size: 2, Stride: 2},
		{N: batch, H: 14, W: 14, C: 64, Size: 2, Stride: 2},
		{N: batch, H: 28, W: 28, C: 16, Size: 2, Stride: 2},
		{N: batch, H: 14, W: 14, C: 32, Size: 2, Stride: 2},
	}
}

func maxPoolCases() []Case {
	var cases []Case
	shapes := append(append([]MaxPool{}, poolShapes...), modelPools(1)...)
	shapes = append(shapes, modelPools(64)[:2]...)
	for i, s := range shapes {
		for k, values := range []string{"mixed", "ties", "infinite"} {
			cases = append(cases, MaxPoolForward{s, values, (i+k)%3 == 1})
		}
		if s.Size > 1 && s.Stride >= s.Size { // no overlap: one NaN per window
			cases = append(cases, MaxPoolForward{s, "nan", false})
		}
		cases = append(cases, MaxPoolBackward{s, false}, MaxPoolBackward{s, true})
	}
	return cases
}
