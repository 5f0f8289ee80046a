package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"

	"github.com/fmnist-gpu/fmnist-gpu/cpuref/internal/simd"
)

// conv3x3 generates the loops of Conv3x3 and Conv3x3Pool: over rows, vectors of
// channels and runs of pixels. All nine taps of a vector of channels stay in
// registers, and an element of the image is loaded once for all pixels of a run.
type conv3x3 struct {
	vector
	height, width int // of a run
	taps          []reg.VecVirtual
}

// conv3x3Row generates a convolution that stores runs of pixels of a row.
func conv3x3Row(v vector) {
	const ahead = 4096 // bytes
	c := &conv3x3{vector: v, height: 1, width: simd.Conv3x3Run}
	v.function("conv3x3", "c *Conv3x3", "convolves rows of pixels.")
	c.generate(func(sums []reg.VecVirtual, y, pixel, constants reg.GPVirtual) {
		to := multiples(pixel, c.width)
		for i, s := range sums {
			PREFETCHT0(to(y, i).Offset(ahead)) // to be written: the hardware foresees only reads
			VADDPS(at(constants, 0), s, s)
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

// loadTaps loads a vector of channels of all taps.
func (c *conv3x3) loadTaps(w reg.GPVirtual) {
	c.taps = c.several(9)
	tap, distance := GP64(), bytesOf(field("c", "RowW"))
	MOVQ(w, tap)
	for _, r := range c.taps {
		VMOVUPS(at(tap, 0), r)
		ADDQ(distance, tap)
	}
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
