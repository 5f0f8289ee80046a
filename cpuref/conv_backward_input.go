package cpuref

import (
	"fmt"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

func (p *program) convBackwardInput(op kernels.ConvBackwardInput) func() error {
	if f := p.backend.winogradOf(op); f != nil {
		return p.winogradBackwardInput(f, op)
	}
	return p.directBackwardInput(op)
}

// directBackwardInput correlates DY with the filters, rotated by 180° and their
// channels exchanged. With a stride, pixels of DX that have different remainders meet
// different taps: it correlates DY with the taps of each pair of remainders.
func (p *program) directBackwardInput(op kernels.ConvBackwardInput) func() error {
	o, kh, kw, i := op.W.Shape[0], op.W.Shape[1], op.W.Shape[2], op.W.Shape[3]
	h, w := op.DX.Shape[1], op.DX.Shape[2]
	rows, cols := remainders(h, kh, op.Stride, op.Pad), remainders(w, kw, op.Stride, op.Pad)
	f := frame{h: op.DY.Shape[1], w: op.DY.Shape[2], c: o}
	f.top, f.fh = border(rows, f.h)
	f.left, f.fw = border(cols, f.w)
	weight := p.floats(op.W)
	k := p.backend.simd
	x := p.newCorrelation(op.Precision, op.DY, f)
	x.out, x.pixels, x.apart, x.dst = i, h*w, op.Stride, p.floats(op.DX)
	taps := x.cutByRemainders(rows, cols, w, kw)
	return x.compile(op.W, fmt.Sprint("rotated filters, taps ", taps), func(packed, _ []float32, panel, tap int) {
		j := panel * k.Cols
		cols := min(k.Cols, i-j)
		filter := func(row int) []float32 { return weight[(row*kh*kw+taps[tap])*i+j:][:cols] }
		for row := range x.frame.c {
			to := packed[row*k.Cols:]
			switch {
			case !x.paired:
				copy(to, filter(row))
			case 2*row+1 < o:
				k.PairRows(to, filter(2*row), filter(2*row+1))
			default:
				k.PairRows(to, filter(2*row), nil)
			}
		}
	})
}

// remainder is the positions of DX along one axis, first, first + stride, …, that
// leave the same remainder, with the padding, on division by the stride. Position
// first + i·stride is the sum over DY[origin+i+t]·W[last−t·stride], t < taps.
type remainder struct {
	first, count int
	taps, last   int
	origin       int // may be negative: DY is 0 outside
}

// remainders splits n positions of DX, which filters of k taps have met.
func remainders(n, k, stride, pad int) []remainder {
	var list []remainder
	for r := range stride {
		first := (r + stride - pad%stride) % stride
		taps := (k - r + stride - 1) / stride
		if first < n {
			list = append(list, remainder{first: first, count: (n - first + stride - 1) / stride,
				taps: taps, last: r + (taps-1)*stride, origin: (first+pad-r)/stride - (taps - 1)})
		}
	}
	return list
}

// border returns the number of zeros before n positions of DY, and how many
// positions there are with those after them.
func border(list []remainder, n int) (before, total int) {
	after := n
	for _, r := range list {
		if r.taps > 0 {
			before, after = max(before, -r.origin), max(after, r.origin+r.taps-1+r.count)
		}
	}
	return before, before + after
}

// cutByRemainders is cut for the gradient of an input of rows w pixels long. It
// returns the position of each packed tap in a filter whose rows have kw taps.
func (x *correlation) cutByRemainders(rows, cols []remainder, w, kw int) (taps []int) {
	x.width = w
	var grids []strip
	most := 0 // tiles of a grid
	for _, r := range rows {
		for _, c := range cols {
			spans, gap := x.spansOf(r, c, w)
			grids = append(grids, strip{spans: spans, gap: gap, rows: r.count, kh: r.taps, kw: c.taps, firstTap: len(taps)})
			most = max(most, len(spans))
			for i := range r.taps {
				for j := range c.taps {
					taps = append(taps, (r.last-i*x.apart)*kw+c.last-j*x.apart)
				}
			}
		}
	}
	x.taps, x.splits = len(taps), min(most, x.wantedSplits())
	for i := range x.splits {
		for _, g := range grids {
			from, to := chunk(len(g.spans), x.splits, i)
			g.spans = g.spans[from:to]
			x.addStrip(g)
		}
	}
	return taps
}

// spansOf returns the tiles of the pixels with the given remainders, and the gap between
// their rows (see newSpans). At a stride, a tile's pixels lie in one row.
func (x *correlation) spansOf(rows, cols remainder, w int) (all []span, gap int) {
	f := x.frame
	perTile := 1 // rows
	if x.apart == 1 {
		perTile = rows.count
	}
	for i := 0; i < rows.count; i += perTile {
		origin := ((f.top+rows.origin+i)*f.fw + f.left + cols.origin) * f.c
		var spans []span
		spans, gap = x.newSpans(perTile, cols.count, f.fw*f.c, f.c)
		for _, s := range spans {
			s.a0 += origin
			s.a1 += origin
			s.pixel = (rows.first+i*x.apart)*w + cols.first + s.pixel*x.apart
			all = append(all, s)
		}
	}
	return all, gap
}
