package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"

	"github.com/fmnist-gpu/fmnist-gpu/cpuref/internal/simd"
)

// conv3x3 generates the loops of Conv3x3, Conv3x3Pool and Conv3x3Weight: over rows,
// vectors of channels and runs of pixels. All nine taps of a vector of channels stay in
// registers, and an element of the image is loaded once for all pixels of a run.
type conv3x3 struct {
	vector
	height, width int // of a run
	taps          []reg.VecVirtual
}

// conv3x3Ahead is how many bytes ahead the result or its gradient is fetched: it is too
// large for the cache, and the hardware foresees writes least. On an AMD EPYC (Zen 3) a
// first layer's forward pass takes 0.8 times as long with it.
const conv3x3Ahead = 4096

// conv3x3Row generates a convolution that stores runs of pixels of a row.
func conv3x3Row(v vector) {
	c := &conv3x3{vector: v, height: 1, width: simd.Conv3x3Run}
	v.function("conv3x3", "c *Conv3x3", "convolves rows of pixels.")
	c.generate(func(sums []reg.VecVirtual, y, pixel, constants reg.GPVirtual) {
		to := multiples(pixel, c.width)
		for i, s := range sums {
			PREFETCHT0(to(y, i).Offset(conv3x3Ahead))
			VADDPS(at(constants, simd.WinogradBias), s, s)
			VMOVUPS(s, to(y, i))
		}
	})
}

// conv3x3Pool generates a convolution whose runs are windows of 2×2 pixels, of which
// it stores what normalizeReLUPool makes of them.
func conv3x3Pool(v vector) {
	c := &conv3x3{vector: v, height: 2, width: 2}
	v.function("conv3x3Pool", "c *Conv3x3", "convolves, normalises and pools rows of 2×2 windows.")
	c.generate(func(sums []reg.VecVirtual, y, _, constants reg.GPVirtual) {
		constant := func(i int) Mem { return at(constants, 4*simd.WinogradConstants*i) }
		scale := v.load(constant(simd.WinogradScale))
		for _, s := range sums {
			VADDPS(constant(simd.WinogradBias), s, s)
			VSUBPS(constant(simd.WinogradMean), s, s)
			VFMADD213PS(constant(simd.WinogradShift), scale, s)
		}
		best := sums[0]
		for k, s := range sums[1:] {
			v.takeGreater(k+1, s, best, nil, nil)
		}
		VMAXPS(best, v.load(constant(simd.WinogradLeast)), best) // a NaN stays
		VMOVUPS(best, at(y, 0))
	})
}

// generate generates the loops. finish stores the sums of a run at y.
func (c *conv3x3) generate(finish func(sums []reg.VecVirtual, y, pixel, constants reg.GPVirtual)) {
	rowX, rowY, rows := field("c", "X"), field("c", "Y"), field("c", "Rows")
	line, pixel := bytesOf(field("c", "Line")), bytesOf(field("c", "Pixel"))
	row := multiples(line, c.height+2)
	Label("rows")
	w, constants, offset := field("c", "W"), field("c", "Constants"), GP64() // of the vector
	XORQ(offset, offset)
	Label("vectors")
	c.loadTaps(w)
	x, y, runs := GP64(), GP64(), field("c", "Runs")
	MOVQ(rowX, x)
	LEAQ(Mem{Base: rowY, Index: offset, Scale: 1}, y)
	Label("runs")
	finish(c.sums(x, row), y, pixel, constants)
	ADDQ(U32(4*c.width), x)
	LEAQ(Mem{Base: y, Index: pixel, Scale: uint8(c.width / c.height)}, y)
	DECQ(runs)
	JZ(LabelRef("end"))
	CMPQ(runs, U32(1))
	JNE(LabelRef("runs"))
	SUBQ(bytesOf(field("c", "BackX")), x)
	SUBQ(bytesOf(field("c", "BackY")), y)
	JMP(LabelRef("runs"))
	Label("end")
	for _, r := range []reg.GPVirtual{w, constants, offset} {
		ADDQ(U32(c.bytes()), r)
	}
	CMPQ(offset, bytesOf(field("c", "Channels")))
	JNE(LabelRef("vectors"))
	ADDQ(times(c.height, line), rowX)
	ADDQ(bytesOf(field("c", "RowY")), rowY)
	DECQ(rows)
	JNZ(LabelRef("rows"))
	VZEROUPPER()
	RET()
}

// conv3x3Weight generates the gradient of the filters. The sums of a vector of channels
// stay in registers for a row of pixels.
func conv3x3Weight(v vector) {
	c := &conv3x3{vector: v}
	v.function("conv3x3Weight", "c *Conv3x3", "adds the products of X and Y at each tap to W.")
	rowX, rowY, rows := field("c", "X"), field("c", "Y"), field("c", "Rows")
	line, pixel := bytesOf(field("c", "Line")), bytesOf(field("c", "Pixel"))
	row := multiples(line, 3)
	Label("rows")
	w, offset := field("c", "W"), GP64() // of the vector
	XORQ(offset, offset)
	Label("vectors")
	c.loadTaps(w)
	x, y := GP64(), GP64()
	MOVQ(rowX, x)
	LEAQ(Mem{Base: rowY, Index: offset, Scale: 1}, y)
	c.eachRun("runs", "Runs", simd.Conv3x3Run, x, y, pixel, row)
	c.eachRun("pixels", "Rest", 1, x, y, pixel, row)
	c.storeTaps(w)
	ADDQ(U32(c.bytes()), w)
	ADDQ(U32(c.bytes()), offset)
	CMPQ(offset, bytesOf(field("c", "Channels")))
	JNE(LabelRef("vectors"))
	ADDQ(line, rowX)
	ADDQ(bytesOf(field("c", "RowY")), rowY)
	DECQ(rows)
	JNZ(LabelRef("rows"))
	VZEROUPPER()
	RET()
}

// eachRun adds the products of a number of runs of pixels, which a field holds, to the
// taps.
func (c *conv3x3) eachRun(label, number string, pixels int, x, y, pixel reg.GPVirtual, row func(base reg.GPVirtual, i int) Mem) {
	n := field("c", number)
	TESTQ(n, n)
	JZ(LabelRef("after_" + label))
	loop(label, n, func() {
		from := multiples(pixel, pixels)
		gradients := c.several(pixels)
		for i, g := range gradients {
			PREFETCHT0(from(y, i).Offset(conv3x3Ahead))
			VMOVUPS(from(y, i), g)
		}
		for h := range 3 {
			for w := range pixels + 2 {
				element := c.new()
				VBROADCASTSS(row(x, h).Offset(4*w), element)
				for i, g := range gradients {
					if kw := w - i; kw >= 0 && kw < 3 {
						VFMADD231PS(element, g, c.taps[3*h+kw])
					}
				}
			}
		}
		ADDQ(U32(4*pixels), x)
		LEAQ(Mem{Base: y, Index: pixel, Scale: uint8(pixels)}, y)
	})
	Label("after_" + label)
}

// eachTap runs body with the address of a vector of channels of each tap.
func (c *conv3x3) eachTap(w reg.GPVirtual, body func(i int, m Mem)) {
	tap, distance := GP64(), bytesOf(field("c", "RowW"))
	MOVQ(w, tap)
	for i := range 9 {
		body(i, at(tap, 0))
		ADDQ(distance, tap)
	}
}

// loadTaps loads a vector of channels of all taps.
func (c *conv3x3) loadTaps(w reg.GPVirtual) {
	c.taps = c.several(9)
	c.eachTap(w, func(i int, m Mem) { VMOVUPS(m, c.taps[i]) })
}

// storeTaps stores a vector of channels of all taps.
func (c *conv3x3) storeTaps(w reg.GPVirtual) {
	c.eachTap(w, func(i int, m Mem) { VMOVUPS(c.taps[i], m) })
}

// sums computes the sums of the run whose first tap meets x, in the order of the taps.
func (c *conv3x3) sums(x reg.GPVirtual, row func(base reg.GPVirtual, i int) Mem) []reg.VecVirtual {
	sums := make([]reg.VecVirtual, c.height*c.width)
	for h := range c.height + 2 {
		for w := range c.width + 2 {
			element := c.new()
			VBROADCASTSS(row(x, h).Offset(4*w), element)
			for i := range sums {
				kh, kw := h-i/c.width, w-i%c.width
				switch {
				case min(kh, kw) < 0 || max(kh, kw) > 2:
				case kh+kw == 0:
					sums[i] = c.new()
					VMULPS(element, c.taps[0], sums[i])
				default:
					VFMADD231PS(element, c.taps[3*kh+kw], sums[i])
				}
			}
		}
	}
	return sums
}
