package main

import (
	"fmt"
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// stored holds the addresses of what word has stored.
var stored = map[uint32]Mem{}

// word returns the address of a vector, of the widest tier, of equal words.
func word(bits uint32) Mem {
	m, ok := stored[bits]
	if !ok {
		m = GLOBL(fmt.Sprintf("word%08x", bits), RODATA|NOPTR)
		for i := range avx512.lanes {
			DATA(4*i, U32(bits))
		}
		stored[bits] = m
	}
	return m
}

// constant returns the address of a vector of equal numbers.
func constant(value float64) Mem { return word(math.Float32bits(float32(value))) }

const signBit = 1 << 31

// polynomial returns the value at x of the polynomial with the given coefficients,
// the highest first.
func (v vector) polynomial(x reg.Register, coefficients ...float64) reg.VecVirtual {
	sum := v.load(constant(coefficients[0]))
	for _, c := range coefficients[1:] {
		VFMADD213PS(constant(c), x, sum)
	}
	return sum
}

// expNegative returns eˣ for x ≤ 0, and overwrites x: see expNegative in package
// simd. Of NaN it is 0.
func (v vector) expNegative(x reg.VecVirtual) reg.VecVirtual {
	const round, ln2High = 3 << 22, 0.693145751953125
	shifted, n, r := v.load(constant(round)), v.new(), v.new()
	VFMADD231PS(constant(math.Log2E), x, shifted)
	VSUBPS(constant(round), shifted, n)
	VMOVAPS(x, r)
	VFNMADD231PS(constant(ln2High), n, r)
	VFNMADD231PS(constant(math.Ln2-ln2High), n, r)
	e := v.polynomial(r, 1./5040, 1./720, 1./120, 1./24, 1./6, 1./2, 1, 1)
	VPSLLD(Imm(23), shifted, shifted) // round's lowest 9 bits are 0
	VPADDD(shifted, e, e)
	if v.lanes == 16 {
		normal := K()
		VCMPPS(Imm(greaterEqual), constant(-87), x, normal)
		VMOVAPS_Z(e, normal, e)
		return e
	}
	VCMPPS(Imm(greaterEqual), constant(-87), x, x)
	VANDPS(x, e, e)
	return e
}

// selectNegative returns a where x is negative, else b, which it overwrites.
func (v vector) selectNegative(x, a, b reg.VecVirtual) reg.VecVirtual {
	if v.lanes == 16 {
		negative := K()
		VPMOVD2M(x, negative)
		VMOVAPS(a, negative, b)
		return b
	}
	VBLENDVPS(x, a, b, b)
	return b
}

// normalCDF returns Φ(x) and exp(−x²/2), as normalCDF in package simd.
func (v vector) normalCDF(x reg.VecVirtual) (cdf, exp reg.VecVirtual) {
	square, t, rest := v.new(), v.new(), v.load(constant(1))
	VMULPS(x, x, square)
	VMULPS(constant(-.5), square, square)
	exp = v.expNegative(square)
	VANDPS(word(^uint32(signBit)), x, t)
	VFMADD213PS(constant(1), v.load(constant(0.3275911/math.Sqrt2)), t)
	VDIVPS(t, rest, t)
	tail := v.polynomial(t, 1.061405429/2, -1.453152027/2, 1.421413741/2, -0.284496736/2, 0.254829592/2)
	VMULPS(t, tail, tail)
	VMULPS(exp, tail, tail)
	VSUBPS(tail, rest, rest)
	return v.selectNegative(x, tail, rest), exp
}

// sigmoids returns σ(x) and σ(−x), as sigmoid in package simd.
func (v vector) sigmoids(x reg.VecVirtual) (s, rest reg.VecVirtual) {
	minus, large := v.new(), v.load(constant(1))
	VORPS(word(signBit), x, minus)
	small := v.expNegative(minus)
	sum := v.new()
	VADDPS(large, small, sum)
	VDIVPS(sum, large, large)
	VMULPS(large, small, small)
	s, rest = v.new(), v.new()
	VMOVAPS(large, s)
	VMOVAPS(small, rest)
	return v.selectNegative(x, small, s), v.selectNegative(x, large, rest)
}

func geluForward(v vector) {
	v.function("geluForward", "y, x *float32, n int", "computes y = x·Φ(x).")
	v.flat([]string{"y", "x"}, func(m []Mem) {
		x := v.load(m[1])
		y, _ := v.normalCDF(x)
		VMULPS(x, y, y)
		VMOVUPS(y, m[0])
	})
}

func geluBackward(v vector) {
	v.function("geluBackward", "dx, x, dy *float32, n int", "computes dx = dy·(Φ(x) + x·φ(x)).")
	v.flat([]string{"dx", "x", "dy"}, func(m []Mem) {
		x := v.load(m[1])
		slope, density := v.normalCDF(x)
		VMULPS(constant(1/math.Sqrt(2*math.Pi)), density, density)
		VFMADD231PS(x, density, slope)
		VMULPS(m[2], slope, slope)
		VMOVUPS(slope, m[0])
	})
}

func siluForward(v vector) {
	v.function("siluForward", "y, x *float32, n int", "computes y = x·σ(x).")
	v.flat([]string{"y", "x"}, func(m []Mem) {
		x := v.load(m[1])
		y, _ := v.sigmoids(x)
		VMULPS(x, y, y)
		VMOVUPS(y, m[0])
	})
}

func siluBackward(v vector) {
	v.function("siluBackward", "dx, x, dy *float32, n int", "computes dx = dy·σ(x)·(1 + x·σ(−x)).")
	v.flat([]string{"dx", "x", "dy"}, func(m []Mem) {
		x := v.load(m[1])
		s, rest := v.sigmoids(x)
		VFMADD213PS(constant(1), x, rest)
		VMULPS(m[2], s, s)
		VMULPS(rest, s, s)
		VMOVUPS(s, m[0])
	})
}
