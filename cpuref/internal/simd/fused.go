package simd

// The portable fused passes of batch-norm, ReLU and max-pool.

func normalizeReLUGeneric(y, x, mean, scale, shift []float32, ld, rows int) {
	for r := range rows {
		yr := y[r*ld : r*ld+len(mean)]
		for j, v := range x[r*ld : r*ld+len(mean)] {
			yr[j] = max(float32((v-mean[j])*scale[j])+shift[j], 0)
		}
	}
}

func reluDotsGeneric(sum, dot, dy, y, x, mean []float32, ld, rows int) {
	for r := range rows {
		for j, v := range y[r*ld : r*ld+len(sum)] {
			if v > 0 {
				g := dy[r*ld+j]
				sum[j] += g
				dot[j] += g * (x[r*ld+j] - mean[j])
			}
		}
	}
}

func normalizeReLUBackwardGeneric(dx, dy, y, x, mean, scale, slope, shift []float32, ld, rows int) {
	for r := range rows {
		for j, v := range y[r*ld : r*ld+len(mean)] {
			g := float32(0)
			if v > 0 {
				g = dy[r*ld+j]
			}
			dx[r*ld+j] = scale[j]*g + (slope[j]*(x[r*ld+j]-mean[j]) + shift[j])
		}
	}
}

func normalizeReLUPool2x2Generic(y []float32, index []uint32, x0, x1, mean, scale, shift []float32, c int) {
	for i := range y {
		ch := i % c
		p := i/c*2*c + ch // the window's first element in its row
		normal := func(x float32) float32 { return (x-mean[ch])*scale[ch] + shift[ch] }
		best, k := normal(x0[p]), uint32(0)
		for at, x := range [3]float32{x0[p+c], x1[p], x1[p+c]} {
			if v := normal(x); v > best {
				best, k = v, uint32(at+1)
			}
		}
		y[i] = max(best, 0)
		if index != nil {
			index[i] = k
		}
	}
}

func reluPool2x2DotsGeneric(sum, dot, dy, y []float32, index []uint32, x0, x1, mean []float32, c int) {
	for i, v := range y {
		if v > 0 {
			ch := i % c
			p := i/c*2*c + ch
			x := [4]float32{x0[p], x0[p+c], x1[p], x1[p+c]}[index[i]]
			sum[ch] += dy[i]
			dot[ch] += dy[i] * (x - mean[ch])
		}
	}
}

func reluPool2x2BackwardGeneric(dx0, dx1, dy, y []float32, index []uint32, x0, x1, mean, scale, slope, shift []float32, c int) {
	for i, v := range y {
		ch := i % c
		p := i/c*2*c + ch
		var g [4]float32
		if v > 0 {
			g[index[i]] = scale[ch] * dy[i]
		}
		through := func(x, g float32) float32 { return g + (slope[ch]*(x-mean[ch]) + shift[ch]) }
		dx0[p], dx0[p+c] = through(x0[p], g[0]), through(x0[p+c], g[1])
		dx1[p], dx1[p+c] = through(x1[p], g[2]), through(x1[p+c], g[3])
	}
}
