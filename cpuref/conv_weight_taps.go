package cpuref

// compileByTaps is compile for filters whose rows have too few taps to fill a
// tile's columns, as in a first layer: DWᵀ (KH·KW·I, O) += Xᵀ · DY, with one copy
// of the image per tap, or by Conv3x3Weight, which needs no copies.
func (g *weightGradient) compileByTaps() func() error {
	pool, k := g.p.pool, g.p.backend.simd
	g.cutGroups(imagesPerGroupTaps)
	g.rows = newRowTiles(g.tile.group, g.taps())
	g.panels = (g.o + k.Cols - 1) / k.Cols
	g.p.scratch.reserveShared(g.groups * len(g.dw))
	g.tapLine = g.ow
	if g.stride*g.frame.c == 1 {
		g.tapLine = g.frame.fw
	}
	compute := g.computeByTaps
	if g.by3x3 = g.p.operands3x3(g.kh, g.kw, g.frame.c, g.stride, g.o, g.paired); g.by3x3 != nil {
		compute = g.computeBy3x3
		g.p.scratch.reservePrivate(g.frame.size() + len(g.dw))
	} else {
		g.p.scratch.reservePrivate(g.frame.size() + g.taps()*g.tapSize() + g.roundedLength() + k.Cols)
	}
	return func() error {
		pool.run(g.groups, compute)
		parts := g.p.scratch.shared
		sum := parts[:len(g.dw)]
		for i := 1; i < g.groups; i++ {
			k.Add(sum, parts[i*len(g.dw):(i+1)*len(g.dw)])
		}
		k.Transpose(g.dw, g.taps(), sum, g.o, g.taps(), g.o)
		g.dbias.combine()
		return nil
	}
}

// tapSize is the distance between the copies for two taps: lines of pixels, which
// keep the frame's borders if the frame can then be copied as it is.
func (g *weightGradient) tapSize() int { return g.oh * g.tapLine }

// computeByTaps is a task: one group's sum.
func (g *weightGradient) computeByTaps(worker, group int) {
	k := g.p.backend.simd
	from, to := g.group(group)
	scratch := g.p.scratch.private[worker]
	framed, byTap, rounded := scratch[:g.frame.size()], scratch[g.frame.size():], scratch[g.frame.size()+g.taps()*g.tapSize():]
	part := g.p.scratch.shared[group*len(g.dw) : (group+1)*len(g.dw)]
	t := &g.p.scratch.tiles[worker]
	t.RowA, t.RowC, t.Bias, t.Accumulate = g.tapSize(), g.o, nil, 0
	t.Walk(g.ow, 1, g.o, g.oh, g.tapLine, g.ow*g.o, 1, 0, 0)
	for n := from; n < to; n++ {
		g.load(framed, n, 1)
		dy := g.dy[n*g.pixels()*g.o:]
		if g.paired {
			dy = rounded
			g.p.pairNeighbours(dy, g.dy, n, g.pixels()*g.o, g.batch)
		}
		g.copyByTap(byTap, framed)
		g.measureBias(n, 1)
		for i := range g.panels * g.rows.count {
			tap, rows := g.rows.bounds(i % g.rows.count)
			rows0 := min(rows, g.tile.group)
			j := i / g.rows.count * k.Cols
			t.A0 = &byTap[tap*g.tapSize()]
			if rows > rows0 {
				t.A1 = &byTap[(tap+rows0)*g.tapSize()]
			}
			t.B = &dy[j]
			t.C = &part[tap*g.o+j]
			g.tile.multiply(t, rows0, rows-rows0, min(k.Cols, g.o-j))
		}
		t.Accumulate = 1
	}
}

// copyByTap copies, for each tap, the elements of the frame that it multiplies:
// dst (KH·KW·I, OH, tapLine).
func (g *weightGradient) copyByTap(dst, framed []float32) {
	c := g.frame.c
	for tap := range g.taps() {
		start := tap/g.rowTaps()*g.frame.fw*c + tap%g.rowTaps()
		to := dst[tap*g.tapSize():][:g.tapSize()]
		if g.stride*c == 1 {
			copy(to, framed[start:])
			continue
		}
		for h := range g.oh {
			src := framed[start+h*g.stride*g.frame.fw*c:]
			for w := range g.ow {
				to[h*g.ow+w] = src[w*g.stride*c]
			}
		}
	}
}
