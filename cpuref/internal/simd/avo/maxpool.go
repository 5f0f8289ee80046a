package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// numbers returns n registers, each filled with its index.
func (v vector) numbers(n int) []reg.VecVirtual {
	r := make([]reg.VecVirtual, n)
	for i := range r {
		r[i] = v.broadcastInt(U32(i))
	}
	return r
}

// window generates the loops over pixels and, within a pixel, over its vectors
// of channels. body gets the addresses of the window's four vectors, two in each
// row array, and of one vector in each pixel array.
func (v vector) window(rows, pixels []string, body func(window, pixel []Mem)) {
	var inRows, inPixels []reg.GPVirtual
	for _, name := range rows {
		inRows = append(inRows, param(name))
	}
	for _, name := range pixels {
		inPixels = append(inPixels, param(name))
	}
	c := param("c")
	width := GP64()
	MOVQ(c, width)
	bytesOf(width)
	loop("pixels", param("pixels"), func() {
		left := GP64()
		MOVQ(c, left)
		Label("channels")
		var window, pixel []Mem
		for _, r := range inRows {
			window = append(window, Mem{Base: r}, Mem{Base: r, Index: width, Scale: 1})
		}
		for _, r := range inPixels {
			pixel = append(pixel, Mem{Base: r})
		}
		body(window, pixel)
		for _, r := range append(inRows, inPixels...) {
			ADDQ(U32(v.bytes()), r)
		}
		SUBQ(U32(v.lanes), left)
		JNZ(LabelRef("channels"))
		for _, r := range inRows { // skip the window's second pixel
			ADDQ(width, r)
		}
	})
	VZEROUPPER()
	RET()
}

// maxPool keeps the first maximum, or the first NaN if there is one: a later
// element replaces the best unless it is less or equal or the best is NaN.
func maxPool(v vector, withIndex bool) {
	pixels := []string{"y"}
	var number []reg.VecVirtual
	if withIndex {
		v.function("maxPool2x2Index", "y *float32, index *uint32, x0, x1 *float32, c, pixels int",
			"computes the maxima of 2×2 windows and their positions.")
		pixels = append(pixels, "index")
		number = v.numbers(4)
	} else {
		v.function("maxPool2x2", "y, x0, x1 *float32, c, pixels int", "computes the maxima of 2×2 windows.")
	}
	v.window([]string{"x0", "x1"}, pixels, func(window, pixel []Mem) {
		best, index := v.load(window[0]), v.new()
		if withIndex {
			VMOVUPS(number[0], index)
		}
		for k := 1; k < 4; k++ {
			x := v.load(window[k])
			if v.lanes == 16 {
				isNumber, replace := K(), K()
				VCMPPS(Imm(ordered), best, best, isNumber)
				VCMPPS(Imm(notLessOrEqual), best, x, isNumber, replace)
				VMOVAPS(x, replace, best)
				if withIndex {
					VMOVDQA32(number[k], replace, index)
				}
				continue
			}
			isNumber, replace := v.new(), v.new()
			VCMPPS(Imm(ordered), best, best, isNumber)
			VCMPPS(Imm(notLessOrEqual), best, x, replace)
			VANDPS(isNumber, replace, replace)
			VBLENDVPS(replace, x, best, best)
			if withIndex {
				VBLENDVPS(replace, number[k], index, index)
			}
		}
		VMOVUPS(best, pixel[0])
		if withIndex {
			VMOVUPS(index, pixel[1])
		}
	})
}

func maxPoolBackward(v vector) {
	v.function("maxPool2x2Backward", "dx0, dx1, dy *float32, index *uint32, c, pixels int",
		"writes each gradient to its window's maximum and 0 to the other elements.")
	number := v.numbers(4)
	v.window([]string{"dx0", "dx1"}, []string{"dy", "index"}, func(window, pixel []Mem) {
		dy, index := v.load(pixel[0]), v.load(pixel[1])
		for k := range 4 {
			dx := v.new()
			if v.lanes == 16 {
				here := K()
				VPCMPEQD(number[k], index, here)
				VMOVAPS_Z(dy, here, dx)
			} else {
				VPCMPEQD(number[k], index, dx)
				VANDPS(dy, dx, dx)
			}
			VMOVUPS(dx, window[k])
		}
	})
}
