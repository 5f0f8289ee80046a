package main

import (
	"math/bits"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// blockVectors is the width of a block of columns in vectors.
const blockVectors = 4

// eachRow generates the loop over the rows of one block of columns; body works
// on vector j of a row of each matrix.
func (v vector) eachRow(matrices []string, body func(j int, m []Mem)) {
	addresses := make([]reg.GPVirtual, len(matrices))
	for i, name := range matrices {
		addresses[i] = param(name)
	}
	ld := bytesOf(param("ld"))
	loop("rows", param("rows"), func() {
		for j := range blockVectors {
			m := make([]Mem, len(addresses))
			for i, r := range addresses {
				m[i] = at(r, j*v.bytes())
			}
			body(j, m)
		}
		for _, r := range addresses {
			ADDQ(ld, r)
		}
	})
}

// loadBlock loads the block at the address in r into registers.
func (v vector) loadBlock(r reg.GPVirtual) []reg.VecVirtual {
	block := v.several(blockVectors)
	for j, x := range block {
		VMOVUPS(at(r, j*v.bytes()), x)
	}
	return block
}

func (v vector) storeBlock(block []reg.VecVirtual, r reg.GPVirtual) {
	for j, x := range block {
		VMOVUPS(x, at(r, j*v.bytes()))
	}
}

func columnSum(v vector) {
	v.function("columnSum", "sum, x *float32, ld, rows int", "adds up the columns of one block.")
	p := param("sum")
	sum := v.loadBlock(p)
	v.eachRow([]string{"x"}, func(j int, m []Mem) { VADDPS(m[0], sum[j], sum[j]) })
	v.storeBlock(sum, p)
	VZEROUPPER()
	RET()
}

func columnSquares(v vector) {
	v.function("columnSquares", "sum, squares, x, shift *float32, ld, rows int",
		"adds up distances and squared distances from shift in the columns of one block.")
	pSum, pSquares, pShift := param("sum"), param("squares"), param("shift")
	sum, squares := v.loadBlock(pSum), v.loadBlock(pSquares)
	v.eachRow([]string{"x"}, func(j int, m []Mem) {
		d := v.load(m[0])
		VSUBPS(at(pShift, j*v.bytes()), d, d)
		VADDPS(d, sum[j], sum[j])
		VFMADD231PS(d, d, squares[j])
	})
	v.storeBlock(sum, pSum)
	v.storeBlock(squares, pSquares)
	VZEROUPPER()
	RET()
}

func columnDots(v vector) {
	v.function("columnDots", "sum, dot, dy, x, mean *float32, ld, rows int",
		"adds up dy and dy·(x − mean) in the columns of one block.")
	pSum, pDot, pMean := param("sum"), param("dot"), param("mean")
	sum, dot := v.loadBlock(pSum), v.loadBlock(pDot)
	v.eachRow([]string{"dy", "x"}, func(j int, m []Mem) {
		g, d := v.load(m[0]), v.load(m[1])
		VSUBPS(at(pMean, j*v.bytes()), d, d)
		VADDPS(g, sum[j], sum[j])
		VFMADD231PS(g, d, dot[j])
	})
	v.storeBlock(sum, pSum)
	v.storeBlock(dot, pDot)
	VZEROUPPER()
	RET()
}

func normalize(v vector) {
	v.function("normalize", "y, x, mean, scale, shift *float32, ld, rows int",
		"computes (x − mean)·scale + shift in one block of columns.")
	mean, scale, shift := v.loadBlock(param("mean")), v.loadBlock(param("scale")), v.loadBlock(param("shift"))
	v.eachRow([]string{"y", "x"}, func(j int, m []Mem) {
		x := v.load(m[1])
		VSUBPS(mean[j], x, x)
		VMULPS(scale[j], x, x) // rounded, as in portable code: see Normalize in package simd
		VADDPS(shift[j], x, x)
		VMOVUPS(x, m[0])
	})
	VZEROUPPER()
	RET()
}

func normalizeBackward(v vector) {
	v.function("normalizeBackward", "dx, dy, x, mean, scale, slope, shift *float32, ld, rows int",
		"computes scale·dy + (slope·(x − mean) + shift) in one block of columns.")
	pMean, pShift := param("mean"), param("shift")
	scale, slope := v.loadBlock(param("scale")), v.loadBlock(param("slope"))
	v.eachRow([]string{"dx", "dy", "x"}, func(j int, m []Mem) {
		d := v.load(m[2])
		VSUBPS(at(pMean, j*v.bytes()), d, d)
		VFMADD213PS(at(pShift, j*v.bytes()), slope[j], d)
		VFMADD231PS(m[1], scale[j], d)
		VMOVUPS(d, m[0])
	})
	VZEROUPPER()
	RET()
}

// transpose4 transposes a strip of 4 rows, 4×4 elements at a time.
func transpose4(v vector) {
	v.function("transpose4", "dst *float32, ldd int, src *float32, lds, blocks int",
		"transposes 4 rows of 4·blocks elements.")
	v.transpose(v.transposed4)
}

// transpose8 transposes a strip of 8 rows, 8×8 elements at a time, for both
// tiers.
func transpose8() {
	begin("transpose8AVX2", "dst *float32, ldd int, src *float32, lds, blocks int",
		"transposes 8 rows of 8·blocks elements.")
	avx2.transpose(transposed8)
}

// transpose generates the loop over the blocks of a strip. transposed transposes
// one in registers.
func (v vector) transpose(transposed func(rows []reg.VecVirtual) []reg.VecVirtual) {
	dst, ldd := param("dst"), bytesOf(param("ldd"))
	src, lds := param("src"), bytesOf(param("lds"))
	block := GP64() // bytes between blocks of dst
	MOVQ(ldd, block)
	SHLQ(Imm(uint64(bits.Len(uint(v.lanes-1)))), block)
	loop("blocks", param("blocks"), func() {
		rows := make([]reg.VecVirtual, v.lanes)
		p := GP64()
		MOVQ(src, p)
		for i := range rows {
			rows[i] = v.load(at(p, 0))
			ADDQ(lds, p)
		}
		MOVQ(dst, p)
		for _, r := range transposed(rows) {
			VMOVUPS(r, at(p, 0))
			ADDQ(ldd, p)
		}
		ADDQ(U32(v.bytes()), src)
		ADDQ(block, dst)
	})
	VZEROUPPER()
	RET()
}

// transposed8 transposes an 8×8 block in registers: pairs, then fours, then
// halves.
func transposed8(r []reg.VecVirtual) []reg.VecVirtual {
	pairs := make([]reg.VecVirtual, 8)
	for i := 0; i < 8; i += 2 {
		pairs[i], pairs[i+1] = YMM(), YMM()
		VUNPCKLPS(r[i+1], r[i], pairs[i])
		VUNPCKHPS(r[i+1], r[i], pairs[i+1])
	}
	fours := make([]reg.VecVirtual, 8)
	for i := 0; i < 8; i += 4 {
		for j := range 4 { // column j of the half's four rows
			fours[i+j] = YMM()
			VSHUFPS(Imm(uint64(0x44+0xaa*(j%2))), pairs[i+2+j/2], pairs[i+j/2], fours[i+j])
		}
	}
	out := make([]reg.VecVirtual, 8)
	for j := range 4 {
		out[j], out[4+j] = YMM(), YMM()
		VPERM2F128(Imm(0x20), fours[4+j], fours[j], out[j])
		VPERM2F128(Imm(0x31), fours[4+j], fours[j], out[4+j])
	}
	return out
}
