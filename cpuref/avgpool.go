package cpuref

import "github.com/fmnist-gpu/fmnist-gpu/kernels"

// avgPooling holds the extents of an average pooling, and its tensors' memory.
type avgPooling struct {
	h, w, c, oh, ow int // X (N, H, W, C), Y (N, OH, OW, C)
	kh, kw, stride  int
	x, y            []float32 // or their gradients
	share           float32   // 1/(KH·KW)
}

func newAvgPooling(p *program, x, y kernels.Tensor, kh, kw, stride int) *avgPooling {
	return &avgPooling{h: x.Shape[1], w: x.Shape[2], c: x.Shape[3], oh: y.Shape[1], ow: y.Shape[2],
		kh: kh, kw: kw, stride: stride, x: p.floats(x), y: p.floats(y), share: 1 / float32(kh*kw)}
}

// eachRow calls visit with every output pixel of image n and with each row of
// its window in X, KW pixels of C channels.
func (g *avgPooling) eachRow(n int, visit func(y, row []float32)) {
	for out := range g.oh * g.ow {
		oh, ow := out/g.ow, out%g.ow
		y := g.y[(n*g.oh*g.ow+out)*g.c:][:g.c]
		for i := range g.kh {
			at := ((n*g.h+oh*g.stride+i)*g.w + ow*g.stride) * g.c
			visit(y, g.x[at:at+g.kw*g.c])
		}
	}
}

func (p *program) avgPoolForward(op kernels.AvgPoolForward) func() error {
	g := newAvgPooling(p, op.X, op.Y, op.KH, op.KW, op.Stride)
	k := p.backend.simd
	perImage := g.oh * g.ow * g.c
	task := func(_, n int) {
		image := g.y[n*perImage : (n+1)*perImage]
		clear(image)
		g.eachRow(n, func(y, row []float32) { k.ColumnSum(y, row, g.c, g.kw) })
		for i := range image {
			image[i] *= g.share
		}
	}
	return func() error {
		p.pool.run(op.X.Shape[0], task)
		return nil
	}
}

func (p *program) avgPoolBackward(op kernels.AvgPoolBackward) func() error {
	g := newAvgPooling(p, op.DX, op.DY, op.KH, op.KW, op.Stride)
	p.scratch.reservePrivate(g.c)
	k := p.backend.simd
	perImage := g.h * g.w * g.c
	task := func(worker, n int) {
		share := p.scratch.private[worker][:g.c]
		clear(g.x[n*perImage : (n+1)*perImage])
		g.eachRow(n, func(dy, row []float32) {
			for c, v := range dy {
				share[c] = v * g.share
			}
			for at := 0; at < len(row); at += g.c {
				k.Add(row[at:at+g.c], share)
			}
		})
	}
	return func() error {
		p.pool.run(op.DX.Shape[0], task)
		return nil
	}
}
