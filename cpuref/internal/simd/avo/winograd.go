package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// four returns the addresses of four lines, distance bytes apart, from the
// address in base; triple is three times the distance.
func four(base, distance, triple reg.GPVirtual) [4]Mem {
	return [4]Mem{
		{Base: base},
		{Base: base, Index: distance, Scale: 1},
		{Base: base, Index: distance, Scale: 2},
		{Base: base, Index: triple, Scale: 1},
	}
}

// tripled returns three times the number in r.
func tripled(r reg.GPVirtual) reg.GPVirtual {
	triple := GP64()
	LEAQ(Mem{Base: r, Index: r, Scale: 2}, triple)
	return triple
}

// sum returns x + y, difference x − y. y may be memory.
func (v vector) sum(x reg.VecVirtual, y Op) reg.VecVirtual {
	r := v.new()
	VADDPS(y, x, r)
	return r
}

func (v vector) difference(x reg.VecVirtual, y Op) reg.VecVirtual {
	r := v.new()
	VSUBPS(y, x, r)
	return r
}

// winogradFilter generates U = G·g·Gᵀ: first the columns, then the rows.
func winogradFilter(v vector) {
	v.function("winogradFilter", "u, filter *float32, n, du, dg int", "transforms n filters, a multiple of the lanes.")
	u, g, n := param("u"), param("filter"), param("n") // the assembler reserves the name g
	du, dg := bytesOf(param("du")), bytesOf(param("dg"))
	du3, dg3 := tripled(du), tripled(dg)
	half := v.broadcastInt(U32(math.Float32bits(0.5)))
	Label("more")
	var half4x3 [4][3]reg.VecVirtual // G·g
	for j := range 3 {
		column := GP64()
		LEAQ(Mem{Base: g}, column)
		for range j {
			ADDQ(dg, column)
		}
		taps := [3]reg.VecVirtual{v.load(Mem{Base: column}),
			v.load(Mem{Base: column, Index: dg3, Scale: 1}), v.load(Mem{Base: column, Index: dg3, Scale: 2})}
		for i, r := range v.filterPoints(taps, half) {
			half4x3[i][j] = r
		}
	}
	row := GP64()
	MOVQ(u, row)
	for i, taps := range half4x3 {
		to := four(row, du, du3)
		for j, r := range v.filterPoints(taps, half) {
			VMOVUPS(r, to[j])
		}
		if i < 3 {
			LEAQ(Mem{Base: row, Index: du, Scale: 4}, row)
		}
	}
	ADDQ(U32(v.bytes()), u)
	ADDQ(U32(v.bytes()), g)
	SUBQ(U32(v.lanes), n)
	JNZ(LabelRef("more"))
	VZEROUPPER()
	RET()
}

// filterPoints returns G·g for three taps.
func (v vector) filterPoints(g [3]reg.VecVirtual, half reg.VecVirtual) [4]reg.VecVirtual {
	outer := v.sum(g[0], g[2])
	VMULPS(half, outer, outer)
	VMULPS(half, g[1], g[1])
	return [4]reg.VecVirtual{g[0], v.sum(outer, g[1]), v.difference(outer, g[1]), g[2]}
}

// winogradInput generates V = Bᵀ·d·B, a row of V at a time.
func winogradInput(v vector) {
	v.function("winogradInput", "v, x *float32, tiles, c, row, dv int",
		"transforms a row of input tiles of c channels, a multiple of the lanes.")
	to, x, tiles := param("v"), param("x"), param("tiles")
	c, row, dv := bytesOf(param("c")), bytesOf(param("row")), bytesOf(param("dv"))
	row3, dv3 := tripled(row), tripled(dv)
	loop("tiles", tiles, func() {
		channels := GP64()
		XORQ(channels, channels)
		Label("channels")
		var pixels [4][4]Mem // by column and row
		pixel := x
		for j := range pixels {
			if j > 0 {
				next := GP64()
				LEAQ(Mem{Base: pixel, Index: c, Scale: 1}, next)
				pixel = next
			}
			pixels[j] = four(pixel, row, row3)
		}
		line := GP64()
		MOVQ(to, line)
		for i := range 4 {
			var d [4]reg.VecVirtual // row i of Bᵀ·d
			for j := range d {
				d[j] = v.inputPoint(i, pixels[j])
			}
			points := four(line, dv, dv3)
			VMOVUPS(v.difference(d[0], d[2]), points[0])
			VMOVUPS(v.sum(d[1], d[2]), points[1])
			VMOVUPS(v.difference(d[2], d[1]), points[2])
			VMOVUPS(v.difference(d[1], d[3]), points[3])
			if i < 3 {
				LEAQ(Mem{Base: line, Index: dv, Scale: 4}, line)
			}
		}
		for _, r := range []reg.GPVirtual{to, x, channels} {
			ADDQ(U32(v.bytes()), r)
		}
		CMPQ(channels, c)
		JNE(LabelRef("channels"))
		ADDQ(c, x) // tiles are two pixels apart
	})
	VZEROUPPER()
	RET()
}

// inputPoint returns element i of Bᵀ·d for four inputs in memory.
func (v vector) inputPoint(i int, d [4]Mem) reg.VecVirtual {
	switch i {
	case 0:
		return v.difference(v.load(d[0]), d[2])
	case 1:
		return v.sum(v.load(d[1]), d[2])
	case 2:
		return v.difference(v.load(d[2]), d[1])
	}
	return v.difference(v.load(d[1]), d[3])
}

// winogradOutput generates Aᵀ·M·A plus the bias, a row of M at a time.
func winogradOutput(v vector) {
	v.function("winogradOutput", "y0, y1, m, bias *float32, tiles, c, ldy, ldm, dm int",
		"transforms a row of products to output tiles of c channels, a multiple of the lanes.")
	y0, y1, m, bias := param("y0"), param("y1"), param("m"), param("bias")
	tiles, c := param("tiles"), bytesOf(param("c"))
	ldy, dm := bytesOf(param("ldy")), bytesOf(param("dm"))
	dm3 := tripled(dm)
	loop("tiles", tiles, func() {
		offset := GP64()
		XORQ(offset, offset)
		line0 := GP64()
		MOVQ(m, line0)
		Label("channels")
		b := v.load(Mem{Base: bias, Index: offset, Scale: 1})
		var y [2][2]reg.VecVirtual
		line := GP64()
		MOVQ(line0, line)
		for i := range 4 {
			points := four(line, dm, dm3)
			x1, x2 := v.load(points[1]), v.load(points[2])
			pair := [2]reg.VecVirtual{v.sum(v.sum(x1, x2), points[0]), v.difference(v.difference(x1, x2), points[3])}
			for j, p := range pair {
				switch i {
				case 0:
					y[0][j] = v.sum(p, b)
				case 1:
					y[0][j], y[1][j] = v.sum(y[0][j], p), v.sum(p, b)
				case 2:
					y[0][j], y[1][j] = v.sum(y[0][j], p), v.difference(y[1][j], p)
				case 3:
					y[1][j] = v.difference(y[1][j], p)
				}
			}
			if i < 3 {
				LEAQ(Mem{Base: line, Index: dm, Scale: 4}, line)
			}
		}
		for i, r := range []reg.GPVirtual{y0, y1} {
			pixel := GP64()
			LEAQ(Mem{Base: r, Index: offset, Scale: 1}, pixel)
			VMOVUPS(y[i][0], Mem{Base: pixel})
			VMOVUPS(y[i][1], Mem{Base: pixel, Index: ldy, Scale: 1})
		}
		ADDQ(U32(v.bytes()), line0)
		ADDQ(U32(v.bytes()), offset)
		CMPQ(offset, c)
		JNE(LabelRef("channels"))
		ldm := bytesOf(param("ldm"))
		ADDQ(ldm, m)
		for _, r := range []reg.GPVirtual{y0, y1} {
			LEAQ(Mem{Base: r, Index: ldy, Scale: 2}, r)
		}
	})
	VZEROUPPER()
	RET()
}

// winogradGradient generates A·dy·Aᵀ, a row at a time.
func winogradGradient(v vector) {
	v.function("winogradGradient", "v, y *float32, tiles, c, ldy, row, dv int",
		"transforms a row of 2×2 tiles of c channels, a multiple of the lanes.")
	to, y, tiles := param("v"), param("y"), param("tiles")
	c, ldy := bytesOf(param("c")), bytesOf(param("ldy"))
	row, dv := bytesOf(param("row")), bytesOf(param("dv"))
	dv3 := tripled(dv)
	zero := v.new()
	VXORPS(zero, zero, zero)
	loop("tiles", tiles, func() {
		left, right, end := GP64(), GP64(), GP64()
		MOVQ(y, left)
		LEAQ(Mem{Base: y, Index: ldy, Scale: 1}, right)
		LEAQ(Mem{Base: y, Index: c, Scale: 1}, end)
		Label("channels")
		line := GP64()
		MOVQ(to, line)
		for i := range 4 {
			var d [2]reg.VecVirtual // row i of A·dy
			for j, pixel := range []reg.GPVirtual{left, right} {
				d[j] = v.gradientPoint(i, zero, v.load(Mem{Base: pixel}), v.load(Mem{Base: pixel, Index: row, Scale: 1}))
			}
			points := four(line, dv, dv3)
			for j := range 4 {
				VMOVUPS(v.gradientPoint(j, zero, d[0], d[1]), points[j])
			}
			if i < 3 {
				LEAQ(Mem{Base: line, Index: dv, Scale: 4}, line)
			}
		}
		for _, r := range []reg.GPVirtual{to, left, right} {
			ADDQ(U32(v.bytes()), r)
		}
		CMPQ(left, end)
		JNE(LabelRef("channels"))
		LEAQ(Mem{Base: y, Index: ldy, Scale: 2}, y)
	})
	VZEROUPPER()
	RET()
}

// gradientPoint returns element i of A·d for two inputs.
func (v vector) gradientPoint(i int, zero, d0, d1 reg.VecVirtual) reg.VecVirtual {
	switch i {
	case 0:
		return d0
	case 1:
		return v.sum(d0, d1)
	case 2:
		return v.difference(d0, d1)
	}
	return v.difference(zero, d1)
}

// winogradWeight generates Gᵀ·M·G, first the columns, then the rows.
func winogradWeight(v vector) {
	v.function("winogradWeight", "dw, m *float32, n, ddw, dm int", "transforms the points of n filters, a multiple of the lanes.")
	dw, m, n := param("dw"), param("m"), param("n")
	ddw, dm := bytesOf(param("ddw")), bytesOf(param("dm"))
	half := v.broadcastInt(U32(math.Float32bits(0.5)))
	Label("more")
	var columns [3][4]reg.VecVirtual // Gᵀ·M
	column := GP64()
	MOVQ(m, column)
	dm4 := GP64()
	MOVQ(dm, dm4)
	SHLQ(Imm(2), dm4)
	dm12 := tripled(dm4)
	for j := range 4 {
		from := four(column, dm4, dm12)
		for i, r := range v.weightTaps([4]reg.VecVirtual{v.load(from[0]), v.load(from[1]), v.load(from[2]), v.load(from[3])}, half) {
			columns[i][j] = r
		}
		if j < 3 {
			ADDQ(dm, column)
		}
	}
	tap := GP64()
	MOVQ(dw, tap)
	for _, points := range columns {
		for _, r := range v.weightTaps(points, half) {
			VMOVUPS(r, Mem{Base: tap})
			ADDQ(ddw, tap)
		}
	}
	ADDQ(U32(v.bytes()), dw)
	ADDQ(U32(v.bytes()), m)
	SUBQ(U32(v.lanes), n)
	JNZ(LabelRef("more"))
	VZEROUPPER()
	RET()
}

// weightTaps returns Gᵀ·m for four points.
func (v vector) weightTaps(m [4]reg.VecVirtual, half reg.VecVirtual) [3]reg.VecVirtual {
	plus, middle := v.sum(m[1], m[2]), v.difference(m[1], m[2])
	VMULPS(half, plus, plus)
	VMULPS(half, middle, middle)
	return [3]reg.VecVirtual{v.sum(plus, m[0]), middle, v.sum(plus, m[3])}
}
