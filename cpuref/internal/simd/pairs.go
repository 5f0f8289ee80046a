package simd

import (
	"math"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// The portable loops of mixed precision.

// newPair rounds two numbers to a pair.
func newPair(low, high float32) float32 {
	return math.Float32frombits(math.Float32bits(kernels.RoundBFloat16(low))>>16 | math.Float32bits(kernels.RoundBFloat16(high)))
}

// halves returns the two numbers of a pair.
func halves(pair float32) (low, high float32) {
	bits := math.Float32bits(pair)
	return math.Float32frombits(bits << 16), math.Float32frombits(bits & 0xffff0000)
}

func pairGeneric(dst, src []float32) {
	n := len(src) / 2
	for i := range n {
		dst[i] = newPair(src[2*i], src[2*i+1])
	}
	if len(src)%2 != 0 {
		dst[n] = newPair(src[2*n], 0)
	}
}

func pairRowsGeneric(dst, a, b []float32) {
	for i, v := range a {
		w := float32(0)
		if b != nil {
			w = b[i]
		}
		dst[i] = newPair(v, w)
	}
}

func pairPanelsGeneric(dst []float32, distance int, a, b []float32) {
	for i := 0; i < len(a); i += genericCols {
		end := min(i+genericCols, len(a))
		other := b
		if b != nil {
			other = b[i:end]
		}
		pairRowsGeneric(dst[i/genericCols*distance:], a[i:end], other)
	}
}

func tilePairsGeneric(t *Tile, rows0, rows1, cols int) { t.by4x4(rows0, rows1, cols, true) }

// pairs4x4 is tile4x4 for pairs.
func pairs4x4(t *Tile, rows *[4]*float32, b *float32, cols int, sum *[4][4]float32) {
	var ka, kb int // the walk's offsets in A and B
	for range t.Blocks {
		for range t.Segments {
			for range t.K {
				for j := range cols {
					b0, b1 := halves(*at(b, kb+j))
					for i, a := range rows {
						a0, a1 := halves(*at(a, ka))
						sum[i][j] += a0 * b0
						sum[i][j] += a1 * b1
					}
				}
				ka += t.StepA
				kb += t.StepB
			}
			ka += t.JumpA
			kb += t.JumpB
		}
		ka += t.BlockJumpA
		kb += t.BlockJumpB
	}
}
