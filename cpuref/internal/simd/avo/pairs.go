package main

import (
	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/ir"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Go's assembler lacks the instructions of AVX512_BF16, so they are encoded as
// bytes, in their 512-bit forms. Intel's manual (volume 2, 2.7.1) documents the
// EVEX prefix.

// The fields that distinguish the three: the mandatory prefix, as encoded in the
// pp bits, and the opcode.
const (
	prefixF3 = 2
	prefixF2 = 3

	opcodeDot   = 0x52
	opcodeRound = 0x72
)

// vdpbf16ps adds the two products of the pairs in a and b to each element of sum.
func vdpbf16ps(a, b, sum reg.Register) {
	evex(prefixF3, opcodeDot, sum, b, a, []Op{a, b, sum})
}

// vcvtne2ps2bf16 rounds the elements of low and high to the halves of dst.
func vcvtne2ps2bf16(low, high, dst reg.Register) {
	evex(prefixF2, opcodeRound, dst, high, low, []Op{low, high})
}

// vcvtneps2bf16 rounds the elements of x to the lower half of dst and clears the
// upper half.
func vcvtneps2bf16(x, dst reg.Register) {
	evex(prefixF3, opcodeRound, dst, nil, x, []Op{x})
}

// evex emits an unmasked 512-bit instruction of map 0F38 with W0. second may be
// nil.
func evex(prefix, opcode uint64, dst, second, third reg.Register, inputs []Op) {
	d, t := number(dst), number(third)
	s := uint64(0)
	if second != nil {
		s = number(second)
	}
	const map0F38, length512 = 2, 2 << 5
	// The upper bits of register numbers, and all bits of the second's, are
	// inverted.
	p0 := map0F38 | (^d>>3&1)<<7 | (^t>>4&1)<<6 | (^t>>3&1)<<5 | (^d>>4&1)<<4
	p1 := 1<<2 | prefix | (^s&15)<<3
	p2 := length512 | (^s>>4&1)<<3
	modRM := 3<<6 | d&7<<3 | t&7
	data("LONG", U32(0x62|p0<<8|p1<<16|p2<<24), inputs, dst)
	data("WORD", U16(opcode|modRM<<8), inputs, dst)
}

// number returns the number of a physical register.
func number(r reg.Register) uint64 { return uint64(reg.ToPhysical(r).PhysicalIndex()) }

// data emits the bytes of an instruction.
func data(directive string, bytes Op, inputs []Op, output reg.Register) {
	Instruction(&ir.Instruction{Opcode: directive, Operands: []Op{bytes}, Inputs: inputs, Outputs: []Op{output},
		ISA: []string{"AVX512_BF16"}})
}

// pair generates the rounding of neighbours to pairs.
func pair() {
	avx512.function("pair", "dst, src *float32, n int",
		"rounds 2·n floats to n pairs of neighbours; n is a multiple of 16.")
	dst, src, n := param("dst"), param("src"), param("n")
	SHRQ(Imm(4), n)
	loop("more", n, func() {
		VMOVUPS(at(src, 0), reg.Z0)
		VMOVUPS(at(src, 64), reg.Z1)
		vcvtne2ps2bf16(reg.Z0, reg.Z1, reg.Z2)
		VMOVUPS(reg.Z2, at(dst, 0))
		ADDQ(U32(128), src)
		ADDQ(U32(64), dst)
	})
	VZEROUPPER()
	RET()
}

// pairRows generates the rounding of two rows to pairs.
func pairRows() {
	avx512.function("pairRows", "dst, a, b *float32, n, distance int",
		"rounds n floats of two rows to pairs, whose blocks of 32 are distance apart; a nil b counts as 0.")
	dst, a, b, n, distance := param("dst"), param("a"), param("b"), param("n"), bytesOf(param("distance"))
	ones, none, mask := GP32(), GP32(), GP32()
	MOVL(I32(-1), ones)
	XORL(none, none)
	maskA, maskB := [2]reg.Register{reg.K1, reg.K2}, [2]reg.Register{reg.K3, reg.K4} // of the block's halves
	load := func(mask reg.GPVirtual, k [2]reg.Register) {
		KMOVW(mask, k[0])
		SHRL(Imm(16), mask)
		KMOVW(mask, k[1])
	}

	MOVL(ones, mask)
	load(mask, maskA)
	MOVL(ones, mask)
	TESTQ(b, b)
	CMOVLEQ(none, mask)
	load(mask, maskB)
	CMPQ(n, Imm(32))
	JLT(LabelRef("rest"))
	Label("more")
	pairBlock(dst, a, b, maskA, maskB)
	ADDQ(distance, dst)
	ADDQ(U32(128), a)
	ADDQ(U32(128), b)
	SUBQ(Imm(32), n)
	CMPQ(n, Imm(32))
	JGE(LabelRef("more"))

	Label("rest")
	TESTQ(n, n)
	JZ(LabelRef("done"))
	BZHIL(n.As32(), ones, mask)
	load(mask, maskA)
	for i, k := range maskB {
		KANDW(k, maskA[i], k)
	}
	pairBlock(dst, a, b, maskA, maskB)
	Label("done")
	VZEROUPPER()
	RET()
}

// pairBlock rounds up to 32 floats of two rows; the masks are those of the block's
// halves.
func pairBlock(dst, a, b reg.GPVirtual, maskA, maskB [2]reg.Register) {
	for half := range 2 {
		offset := 64 * half
		VMOVUPS_Z(at(a, offset), maskA[half], reg.Z0)
		VMOVUPS_Z(at(b, offset), maskB[half], reg.Z1)
		vcvtneps2bf16(reg.Z0, reg.Z2)
		vcvtneps2bf16(reg.Z1, reg.Z3)
		VPMOVZXWD(reg.Y2, reg.Z2)
		VPMOVZXWD(reg.Y3, reg.Z3)
		VPSLLD(Imm(16), reg.Z3, reg.Z3)
		VPORD(reg.Z2, reg.Z3, reg.Z2)
		VMOVUPS(reg.Z2, maskA[half], at(dst, offset))
	}
}
