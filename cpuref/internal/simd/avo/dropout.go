package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Multipliers of Philox4x32.
const philoxM0, philoxM1 = 0xD2511F53, 0xCD9E8D57

// dropout computes a block of Philox4x32 in each 32-bit lane: four words per
// lane, for four vectors of units.
func dropout(v vector) {
	v.function("dropout", "y, x *float32, n int, first, sample uint32, d *Dropout",
		"drops or scales units, whose random words start at counter first.")
	y, x, n := param("y"), param("x"), param("n")
	counter := v.firstCounters()
	step := v.broadcastInt(U32(v.lanes))
	m0, m1 := v.broadcastInt(U32(philoxM0)), v.broadcastInt(U32(philoxM1))
	threshold, scale := v.broadcastField("Threshold"), v.broadcast("d", "Scale")
	sample := v.broadcastParam("sample")
	keys := param("d")
	var even, odd reg.OpmaskVirtual
	if v.lanes == 16 {
		even, odd = constantMask(0x5555), constantMask(0xaaaa)
	}

	Label("units")
	c := v.several(4)
	VMOVUPS(counter, c[0])
	VMOVUPS(sample, c[1])
	VMOVUPS(v.broadcastField("Step"), c[2])
	VMOVUPS(v.broadcastField("Purpose"), c[3])
	for round := range 10 {
		hi0, lo0 := v.multiplyWide(c[0], m0, even, odd)
		hi1, lo1 := v.multiplyWide(c[2], m1, even, odd)
		v.xorKey(hi1, c[1], at(keys, 8*round))
		v.xorKey(hi0, c[3], at(keys, 8*round+4))
		c = []reg.VecVirtual{hi1, lo1, hi0, lo0}
	}
	for j, words := range v.transposed4(c) { // vectors of consecutive units
		v.drop(at(x, j*v.bytes()), at(y, j*v.bytes()), words, threshold, scale)
	}
	VPADDD(step, counter, counter)
	ADDQ(U32(4*v.bytes()), x)
	ADDQ(U32(4*v.bytes()), y)
	SUBQ(U32(4*v.lanes), n)
	JNZ(LabelRef("units"))
	VZEROUPPER()
	RET()
}

// firstCounters returns the first counter of each lane, in the order that makes
// their transposition's vectors contiguous: lane 4·l + j starts at j·(lanes/4) + l.
func (v vector) firstCounters() reg.VecVirtual {
	name := "counters" + v.suffix
	order := GLOBL(name, RODATA|NOPTR)
	for i := range v.lanes {
		DATA(4*i, U32(i%4*(v.lanes/4)+i/4))
	}
	counter := v.new()
	VMOVUPS(order, counter)
	VPADDD(v.broadcastParam("first"), counter, counter)
	return counter
}

// broadcastInt fills a register with a constant.
func (v vector) broadcastInt(value U32) reg.VecVirtual {
	s := GP32()
	MOVL(value, s)
	return v.broadcastRegister(s)
}

// broadcastParam fills a register with a uint32 parameter.
func (v vector) broadcastParam(name string) reg.VecVirtual {
	s := GP32()
	Load(Param(name), s)
	return v.broadcastRegister(s)
}

func (v vector) broadcastRegister(s reg.GPVirtual) reg.VecVirtual {
	m, r := XMM(), v.new()
	VMOVD(s, m) // MOVD would switch between SSE and AVX, which costs hundreds of cycles
	VPBROADCASTD(m, r)
	return r
}

// broadcastField fills a register with a uint32 field of the parameter d.
func (v vector) broadcastField(name string) reg.VecVirtual {
	a, err := Dereference(Param("d")).Field(name).Resolve()
	if err != nil {
		panic(err)
	}
	r := v.new()
	VPBROADCASTD(a.Addr, r)
	return r
}

func constantMask(bits int) reg.OpmaskVirtual {
	s, k := GP32(), K()
	MOVL(U32(bits), s)
	KMOVW(s, k)
	return k
}

// multiplyWide returns the upper and lower words of x·m in each lane.
func (v vector) multiplyWide(x, m reg.VecVirtual, even, odd reg.OpmaskVirtual) (hi, lo reg.VecVirtual) {
	shifted, evens, odds := v.new(), v.new(), v.new() // products of the even and the odd lanes
	VPSRLQ(Imm(32), x, shifted)
	VPMULUDQ(x, m, evens)
	VPMULUDQ(shifted, m, odds)
	hi, lo = v.new(), v.new()
	if v.lanes == 16 {
		VMOVUPS(odds, hi)
		VMOVSHDUP(evens, even, hi)
		VMOVUPS(evens, lo)
		VMOVSLDUP(odds, odd, lo)
		return hi, lo
	}
	VMOVSHDUP(evens, hi)
	VBLENDPS(Imm(0xaa), odds, hi, hi)
	VMOVSLDUP(odds, lo)
	VBLENDPS(Imm(0xaa), lo, evens, lo)
	return hi, lo
}

// xorKey xors c and a word of the key into x.
func (v vector) xorKey(x, c reg.VecVirtual, key Mem) {
	k := v.new()
	VPBROADCASTD(key, k)
	VXORPS(c, x, x)
	VXORPS(k, x, x)
}

// transposed4 transposes each 4×4 block of four registers.
func (v vector) transposed4(r []reg.VecVirtual) []reg.VecVirtual {
	pairs, out := v.several(4), v.several(4)
	VUNPCKLPS(r[1], r[0], pairs[0])
	VUNPCKHPS(r[1], r[0], pairs[1])
	VUNPCKLPS(r[3], r[2], pairs[2])
	VUNPCKHPS(r[3], r[2], pairs[3])
	VUNPCKLPD(pairs[2], pairs[0], out[0])
	VUNPCKHPD(pairs[2], pairs[0], out[1])
	VUNPCKLPD(pairs[3], pairs[1], out[2])
	VUNPCKHPD(pairs[3], pairs[1], out[3])
	return out
}

// drop stores x·scale where the random word is at least the threshold, else 0.
func (v vector) drop(x, y Mem, words, threshold, scale reg.VecVirtual) {
	unit := v.new()
	if v.lanes == 16 {
		const notLess = 5
		keep := K()
		VPCMPUD(Imm(notLess), threshold, words, keep)
		VMULPS_Z(x, scale, keep, unit)
		VMOVUPS(unit, y)
		return
	}
	larger := v.new()
	VPMAXUD(threshold, words, larger)
	VPCMPEQD(words, larger, larger)
	VMULPS(x, scale, unit)
	VANDPS(larger, unit, unit)
	VMOVUPS(unit, y)
}
