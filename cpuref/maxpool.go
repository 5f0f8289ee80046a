package cpuref

import (
	"fmt"
	"sync/atomic"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// pooling holds the extents of a max-pooling and the memory of its tensors.
type pooling struct {
	h, w, c      int // X (N, H, W, C)
	oh, ow       int // Y (N, OH, OW, C)
	size, stride int
	x, y         []float32 // or their gradients
	index        []uint32  // (N, OH, OW, C); may be nil forward
}

func newPooling(p *program, x, y, index kernels.Tensor, size, stride int) *pooling {
	return &pooling{h: x.Shape[1], w: x.Shape[2], c: x.Shape[3], oh: y.Shape[1], ow: y.Shape[2],
		size: size, stride: stride, x: p.floats(x), y: p.floats(y), index: p.words(index)}
}

// window returns the position in X of the window of output pixel (n, oh, ow).
func (g *pooling) window(n, oh, ow int) int {
	return ((n*g.h+oh*g.stride)*g.w + ow*g.stride) * g.c
}

// row returns the bounds of output row oh of image n in Y.
func (g *pooling) row(n, oh int) (from, to int) {
	from = (n*g.oh + oh) * g.ow * g.c
	return from, from + g.ow*g.c
}

// pairs reports whether the vector code supports the windows: 2×2 without
// overlap.
func (g *pooling) pairs() bool { return g.size == 2 && g.stride == 2 }

func (p *program) maxPoolForward(op kernels.MaxPoolForward) func() error {
	g := newPooling(p, op.X, op.Y, op.Index, op.Size, op.Stride)
	pool2x2 := p.backend.simd.MaxPool2x2
	task := func(_, n int) {
		for oh := range g.oh {
			if !g.pairs() {
				g.forward(n, oh)
				continue
			}
			from, to := g.row(n, oh)
			var index []uint32
			if g.index != nil {
				index = g.index[from:to]
			}
			x0 := g.x[g.window(n, oh, 0):]
			pool2x2(g.y[from:to], index, x0, x0[g.w*g.c:], g.c)
		}
	}
	return func() error {
		p.pool.run(op.X.Shape[0], task)
		return nil
	}
}

// forward pools one output row: the first maximum wins, and the first NaN wins
// over any number.
func (g *pooling) forward(n, oh int) {
	for ow := range g.ow {
		window := g.window(n, oh, ow)
		out := ((n*g.oh+oh)*g.ow + ow) * g.c
		for c := range g.c {
			best, at := g.x[window+c], 0
			for k := 1; k < g.size*g.size; k++ {
				v := g.x[window+(k/g.size*g.w+k%g.size)*g.c+c]
				if !(v <= best) && best == best {
					best, at = v, k
				}
			}
			g.y[out+c] = best
			if g.index != nil {
				g.index[out+c] = uint32(at)
			}
		}
	}
}

func (p *program) maxPoolBackward(op kernels.MaxPoolBackward) func() error {
	g := newPooling(p, op.DX, op.DY, op.Index, op.Size, op.Stride)
	spread2x2 := p.backend.simd.MaxPool2x2Backward
	check := p.checkIndex(g.index, op.Size)
	task := func(_, n int) {
		if !g.pairs() {
			g.backward(n)
			return
		}
		for oh := range g.oh {
			from, to := g.row(n, oh)
			dx0 := g.x[g.window(n, oh, 0):]
			spread2x2(dx0, dx0[g.w*g.c:], g.y[from:to], g.index[from:to], g.c)
		}
		g.clearRest(n)
	}
	return func() error {
		if err := check(); err != nil {
			return err
		}
		p.pool.run(op.DX.Shape[0], task)
		return nil
	}
}

// checkIndex returns the function that checks that all positions in index are
// inside a window of size×size.
func (p *program) checkIndex(index []uint32, size int) func() error {
	var outside atomic.Uint32 // such a position; 0, which is inside, for none
	limit := uint32(size * size)
	search := p.elementwise(len(index), func(from, to int) {
		if union(index[from:to]) < limit {
			return
		}
		for _, k := range index[from:to] {
			if k >= limit {
				outside.Store(k)
			}
		}
	})
	return func() error {
		outside.Store(0)
		if err := search(); err != nil {
			return err
		}
		if k := outside.Load(); k != 0 {
			return fmt.Errorf("position %d in Index is outside a window of %d×%d", k, size, size)
		}
		return nil
	}
}

// union returns the bits that any of the words has: no word is larger. It reads
// them faster than a comparison of each.
func union(words []uint32) (bits uint32) {
	for ; len(words) >= 8; words = words[8:] {
		w := (*[8]uint32)(words)
		bits |= w[0] | w[1] | w[2] | w[3] | w[4] | w[5] | w[6] | w[7]
	}
	for _, w := range words {
		bits |= w
	}
	return bits
}

// clearRest zeroes the last column and row of image n if no 2×2 window covers
// them.
func (g *pooling) clearRest(n int) {
	image := g.x[n*g.h*g.w*g.c : (n+1)*g.h*g.w*g.c]
	if g.w%2 == 1 {
		for h := range g.h {
			clear(image[(h*g.w+g.w-1)*g.c : (h+1)*g.w*g.c])
		}
	}
	if g.h%2 == 1 {
		clear(image[(g.h-1)*g.w*g.c:])
	}
}

// backward adds each gradient of image n to the element that was its window's
// maximum.
func (g *pooling) backward(n int) {
	clear(g.x[n*g.h*g.w*g.c : (n+1)*g.h*g.w*g.c])
	for oh := range g.oh {
		for ow := range g.ow {
			window := g.window(n, oh, ow)
			out := ((n*g.oh+oh)*g.ow + ow) * g.c
			for c := range g.c {
				k := int(g.index[out+c])
				g.x[window+(k/g.size*g.w+k%g.size)*g.c+c] += g.y[out+c]
			}
		}
	}
}
