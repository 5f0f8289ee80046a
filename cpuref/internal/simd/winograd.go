package simd

// The portable transforms of Winograd's convolution F(2×2, 3×3) (Lavin & Gray,
// "Fast algorithms for convolutional neural networks", 2016). A 2×2 tile of the
// output is
//
//	Y = Aᵀ·[Σ_channels (G·g·Gᵀ) ⊙ (Bᵀ·d·B)]·A
//
// of the 3×3 filters g and the 4×4 tiles d of the input, with
//
//	     1  0 −1  0         1   0   0
//	Bᵀ = 0  1  1  0    G =  ½   ½   ½    Aᵀ = 1  1  1  0
//	     0 −1  1  0         ½  −½   ½         0  1 −1 −1
//	     0  1  0 −1         0   0   1
//
// The 16 elements of a transformed tile are its points. The gradient of the filters
// is the adjoint: dg = Gᵀ·[Σ_tiles (A·dY·Aᵀ) ⊙ (Bᵀ·d·B)]·G.

// winogradFilterGeneric rounds as the vector code does: halves are exact.
func winogradFilterGeneric(u, g []float32, n, du, dg int) {
	for e := range n {
		var rows [4][3]float32 // G·g
		for j := range 3 {
			a, b, c := g[j*dg+e], g[(3+j)*dg+e], g[(6+j)*dg+e]
			rows[0][j], rows[1][j], rows[2][j], rows[3][j] = a, (a+c)*.5+b*.5, (a+c)*.5-b*.5, c
		}
		for i, r := range rows {
			to := u[4*i*du+e:]
			to[0], to[du], to[2*du], to[3*du] = r[0], (r[0]+r[2])*.5+r[1]*.5, (r[0]+r[2])*.5-r[1]*.5, r[2]
		}
	}
}

func winogradInputGeneric(v, x []float32, tiles, c, row, dv int) {
	for t := range tiles {
		for ch := range c {
			var d [4][4]float32 // Bᵀ·d
			for j := range 4 {
				from := x[(2*t+j)*c+ch:]
				a, b, e, f := from[0], from[row], from[2*row], from[3*row]
				d[0][j], d[1][j], d[2][j], d[3][j] = a-e, b+e, e-b, b-f
			}
			for i, r := range d {
				to := v[4*i*dv+t*c+ch:]
				to[0], to[dv], to[2*dv], to[3*dv] = r[0]-r[2], r[1]+r[2], r[2]-r[1], r[1]-r[3]
			}
		}
	}
}

func winogradOutputGeneric(y0, y1, m, bias []float32, tiles, c, ldy, ldm, dm int) {
	for t := range tiles {
		for ch := range c {
			var p [4][2]float32 // M·A
			for i := range p {
				from := m[4*i*dm+t*ldm+ch:]
				p[i][0] = from[dm] + from[2*dm] + from[0]
				p[i][1] = from[dm] - from[2*dm] - from[3*dm]
			}
			for j := range 2 {
				y0[(2*t+j)*ldy+ch] = p[0][j] + bias[ch] + p[1][j] + p[2][j]
				y1[(2*t+j)*ldy+ch] = p[1][j] + bias[ch] - p[2][j] - p[3][j]
			}
		}
	}
}

func winogradGradientGeneric(v, y []float32, tiles, c, ldy, row, dv int) {
	for t := range tiles {
		for ch := range c {
			from := y[2*t*ldy+ch:]
			left, right := gradientPoints(from[0], from[row]), gradientPoints(from[ldy], from[ldy+row])
			for i := range 4 {
				to := v[4*i*dv+t*c+ch:]
				for j, p := range gradientPoints(left[i], right[i]) {
					to[j*dv] = p
				}
			}
		}
	}
}

// gradientPoints returns A·d.
func gradientPoints(d0, d1 float32) [4]float32 { return [4]float32{d0, d0 + d1, d0 - d1, 0 - d1} }

func winogradWeightGeneric(dw, m []float32, n, ddw, dm int) {
	for e := range n {
		var columns [3][4]float32 // Gᵀ·M
		for j := range 4 {
			from := m[j*dm+e:]
			a, b, c, d := from[0], from[4*dm], from[8*dm], from[12*dm]
			columns[0][j], columns[1][j], columns[2][j] = (b+c)*.5+a, (b-c)*.5, (b+c)*.5+d
		}
		for i, p := range columns {
			to := dw[3*i*ddw+e:]
			to[0], to[ddw], to[2*ddw] = (p[1]+p[2])*.5+p[0], (p[1]-p[2])*.5, (p[1]+p[2])*.5+p[3]
		}
	}
}
