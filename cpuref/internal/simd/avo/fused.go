package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// windows generates the loops over the 2×2 windows of two rows of pixels: the
// outer one over the vectors of channels, the inner one over the windows. Arrays
// named in rows have two pixels per window, those in pixels one. begin and end
// run for each vector of channels and get its offset. body runs for each window
// and gets the addresses of its two elements in each row array and of its
// element in each pixel array.
func (v vector) windows(rows, pixels []string, begin func(channel reg.Register), body func(row [][2]Mem, pixel []Mem), end func(channel reg.Register)) {
	var arrays []reg.GPVirtual
	for _, name := range append(rows, pixels...) {
		arrays = append(arrays, param(name))
	}
	width, channel := GP64(), GP64()
	Load(Param("c"), width)
	bytesOf(width)
	XORQ(channel, channel)
	Label("channels")
	begin(channel)
	left, right, single := GP64(), GP64(), GP64() // offsets of a window's pixels in row and pixel arrays
	XORQ(left, left)
	MOVQ(width, right)
	XORQ(single, single)
	loop("windows", param("windows"), func() {
		var row [][2]Mem
		var pixel []Mem
		for i, r := range arrays {
			if i < len(rows) {
				row = append(row, [2]Mem{{Base: r, Index: left, Scale: 1}, {Base: r, Index: right, Scale: 1}})
			} else {
				pixel = append(pixel, Mem{Base: r, Index: single, Scale: 1})
			}
		}
		body(row, pixel)
		LEAQ(Mem{Base: left, Index: width, Scale: 2}, left)
		LEAQ(Mem{Base: right, Index: width, Scale: 2}, right)
		ADDQ(width, single)
	})
	end(channel)
	for _, r := range arrays {
		ADDQ(U32(v.bytes()), r)
	}
	ADDQ(U32(v.bytes()), channel)
	CMPQ(channel, width)
	JNE(LabelRef("channels"))
	VZEROUPPER()
	RET()
}

// fromParam loads the vector at an offset from a pointer parameter into r.
func fromParam(name string, offset reg.Register, r reg.VecVirtual) {
	p := param(name)
	VMOVUPS(Mem{Base: p, Index: offset, Scale: 1}, r)
}

// fetchAhead prefetches for the backward loops: they read more and shorter
// streams than hardware prefetchers follow. A window takes four elements of the
// row arrays for each one of the pixel arrays.
func fetchAhead(row [][2]Mem, pixel []Mem) {
	const bytes = 4096
	for _, pair := range row {
		PREFETCHT0(pair[0].Offset(bytes))
		PREFETCHT0(pair[1].Offset(bytes))
	}
	for _, m := range pixel {
		PREFETCHT0(m.Offset(bytes / 4))
	}
}

func nothing(reg.Register) {}

// normalizeReLUPool keeps the first maximum of a window's normalised elements.
func normalizeReLUPool(v vector, withIndex bool) {
	pixels := []string{"y"}
	var number []reg.VecVirtual
	if withIndex {
		v.function("normalizeReLUPool2x2Index", "y *float32, index *uint32, x0, x1, mean, scale, shift *float32, c, windows int",
			"computes the maximum of each window of (x − mean)·scale + shift, at least 0, and its position.")
		pixels = append(pixels, "index")
		number = v.numbers(4)
	} else {
		v.function("normalizeReLUPool2x2", "y, x0, x1, mean, scale, shift *float32, c, windows int",
			"computes the maximum of each window of (x − mean)·scale + shift, at least 0.")
	}
	zero, mean, scale, shift := v.new(), v.new(), v.new(), v.new()
	VXORPS(zero, zero, zero)
	begin := func(channel reg.Register) {
		fromParam("mean", channel, mean)
		fromParam("scale", channel, scale)
		fromParam("shift", channel, shift)
	}
	v.windows([]string{"x0", "x1"}, pixels, begin, func(row [][2]Mem, pixel []Mem) {
		var best, index reg.VecVirtual
		for k := range 4 {
			x := v.load(row[k/2][k%2])
			VSUBPS(mean, x, x)
			VFMADD213PS(shift, scale, x)
			if k == 0 {
				best = x
				if withIndex {
					index = v.new()
					VMOVUPS(number[0], index)
				}
				continue
			}
			v.takeGreater(k, x, best, index, number)
		}
		VMAXPS(best, zero, best) // a NaN stays
		VMOVUPS(best, pixel[0])
		if withIndex {
			VMOVUPS(index, pixel[1])
		}
	}, nothing)
}

// takeGreater puts x into best and number k into index where x > best. number is
// nil if there is no index.
func (v vector) takeGreater(k int, x, best, index reg.VecVirtual, number []reg.VecVirtual) {
	if number == nil && v.suffix != neon.suffix { // NEON's maximum of a number and NaN is NaN
		VMAXPS(best, x, best)
		return
	}
	if v.lanes == 16 {
		replace := K()
		VCMPPS(Imm(greater), best, x, replace)
		VMOVAPS(x, replace, best)
		if number != nil {
			VMOVDQA32(number[k], replace, index)
		}
		return
	}
	replace := v.new()
	VCMPPS(Imm(greater), best, x, replace)
	VBLENDVPS(replace, x, best, best)
	if number != nil {
		VBLENDVPS(replace, number[k], index, index)
	}
}

// passed returns the gradient where the output is positive, else 0.
func (v vector) passed(dy, y Mem, zero reg.VecVirtual) reg.VecVirtual {
	g := v.load(y)
	if v.lanes == 16 {
		positive, r := K(), v.new()
		VCMPPS(Imm(greater), zero, g, positive)
		VMOVUPS_Z(dy, positive, r)
		return r
	}
	VCMPPS(Imm(greater), zero, g, g)
	VANDPS(dy, g, g)
	return g
}

func reluPoolDots(v vector) {
	v.function("reluPool2x2Dots", "sum, dot, dy, y *float32, index *uint32, x0, x1, mean *float32, c, windows int",
		"adds up the gradients g that pass the ReLU, and g·(x − mean) with x at index.")
	zero, mean, sum, dot := v.new(), v.new(), v.new(), v.new()
	VXORPS(zero, zero, zero)
	number := v.numbers(4)
	begin := func(channel reg.Register) {
		fromParam("mean", channel, mean)
		fromParam("sum", channel, sum)
		fromParam("dot", channel, dot)
	}
	end := func(channel reg.Register) {
		p := param("sum")
		VMOVUPS(sum, Mem{Base: p, Index: channel, Scale: 1})
		p = param("dot")
		VMOVUPS(dot, Mem{Base: p, Index: channel, Scale: 1})
	}
	v.windows([]string{"x0", "x1"}, []string{"dy", "y", "index"}, begin, func(row [][2]Mem, pixel []Mem) {
		fetchAhead(row, pixel)
		g, index := v.passed(pixel[0], pixel[1], zero), v.load(pixel[2])
		x := v.load(row[0][0])
		for k := 1; k < 4; k++ {
			if v.lanes == 16 {
				here := K()
				VPCMPEQD(number[k], index, here)
				VMOVUPS(row[k/2][k%2], here, x)
			} else {
				here := v.new()
				VPCMPEQD(number[k], index, here)
				VBLENDVPS(here, row[k/2][k%2], x, x)
			}
		}
		VSUBPS(mean, x, x)
		VADDPS(g, sum, sum)
		VFMADD231PS(g, x, dot)
	}, end)
}

func reluPoolBackward(v vector) {
	v.function("reluPool2x2Backward", "dx0, dx1, dy, y *float32, index *uint32, x0, x1, mean, scale, slope, shift *float32, c, windows int",
		"computes scale·g + (slope·(x − mean) + shift), with g the gradient at index, else 0.")
	zero, mean, scale, slope, shift := v.new(), v.new(), v.new(), v.new(), v.new()
	VXORPS(zero, zero, zero)
	number := v.numbers(4)
	begin := func(channel reg.Register) {
		fromParam("mean", channel, mean)
		fromParam("scale", channel, scale)
		fromParam("slope", channel, slope)
		fromParam("shift", channel, shift)
	}
	v.windows([]string{"dx0", "dx1", "x0", "x1"}, []string{"dy", "y", "index"}, begin, func(row [][2]Mem, pixel []Mem) {
		fetchAhead(row, pixel)
		g, index := v.passed(pixel[0], pixel[1], zero), v.load(pixel[2])
		VMULPS(scale, g, g)
		for k := range 4 {
			x := v.load(row[2+k/2][k%2])
			VSUBPS(mean, x, x)
			VFMADD213PS(shift, slope, x)
			if v.lanes == 16 {
				here := K()
				VPCMPEQD(number[k], index, here)
				VADDPS(g, x, here, x)
			} else {
				here := v.new()
				VPCMPEQD(number[k], index, here)
				VANDPS(g, here, here)
				VADDPS(here, x, x)
			}
			VMOVUPS(x, row[k/2][k%2])
		}
	}, nothing)
}

// The passes of batch-norm and ReLU without a pool loop over columns.

func normalizeReLU(v vector) {
	v.function("normalizeReLU", "y, x, mean, scale, shift *float32, ld, rows int",
		"computes (x − mean)·scale + shift, at least 0, in one block of columns.")
	mean, scale, pShift := v.loadBlock(param("mean")), v.loadBlock(param("scale")), param("shift")
	zero := v.new()
	VXORPS(zero, zero, zero)
	v.eachRow([]string{"y", "x"}, func(j int, m []Mem) {
		x := v.load(m[1])
		VSUBPS(mean[j], x, x)
		VMULPS(scale[j], x, x)
		VADDPS(at(pShift, j*v.bytes()), x, x)
		VMAXPS(x, zero, x) // a NaN stays
		VMOVUPS(x, m[0])
	})
	VZEROUPPER()
	RET()
}

func reluDots(v vector) {
	v.function("reluDots", "sum, dot, dy, y, x, mean *float32, ld, rows int",
		"adds up the gradients g that pass the ReLU, and g·(x − mean), in the columns of one block.")
	pSum, pDot, pMean := param("sum"), param("dot"), param("mean")
	sum, dot := v.loadBlock(pSum), v.loadBlock(pDot)
	zero := v.new()
	VXORPS(zero, zero, zero)
	v.eachRow([]string{"dy", "y", "x"}, func(j int, m []Mem) {
		g, d := v.passed(m[0], m[1], zero), v.load(m[2])
		VSUBPS(at(pMean, j*v.bytes()), d, d)
		VADDPS(g, sum[j], sum[j])
		VFMADD231PS(g, d, dot[j])
	})
	v.storeBlock(sum, pSum)
	v.storeBlock(dot, pDot)
	VZEROUPPER()
	RET()
}

func normalizeReLUBackward(v vector) {
	v.function("normalizeReLUBackward", "dx, dy, y, x, mean, scale, slope, shift *float32, ld, rows int",
		"computes scale·g + (slope·(x − mean) + shift), with g the gradient that passes the ReLU, in one block of columns.")
	pMean, pShift := param("mean"), param("shift")
	scale, slope := v.loadBlock(param("scale")), v.loadBlock(param("slope"))
	zero := v.new()
	VXORPS(zero, zero, zero)
	v.eachRow([]string{"dx", "dy", "y", "x"}, func(j int, m []Mem) {
		g, d := v.passed(m[1], m[2], zero), v.load(m[3])
		VSUBPS(at(pMean, j*v.bytes()), d, d)
		VFMADD213PS(at(pShift, j*v.bytes()), slope[j], d)
		VFMADD231PS(g, scale[j], d)
		VMOVUPS(d, m[0])
	})
	VZEROUPPER()
	RET()
}
