package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
)

// copyPanel generates the copy of a panel of a matrix.
func copyPanel(v vector, cols int) {
	v.function("copyPanel", "dst, src *float32, ld, rows int", "copies the panel's columns of rows.")
	dst, src, ld := param("dst"), param("src"), bytesOf(param("ld"))
	loop("rows", param("rows"), func() {
		for i := 0; i < 4*cols; i += v.bytes() {
			VMOVUPS(v.load(at(src, i)), at(dst, i))
		}
		ADDQ(U32(4*cols), dst)
		ADDQ(ld, src)
	})
	VZEROUPPER()
	RET()
}
