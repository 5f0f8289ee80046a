//go:build !noasm

package simd

import "encoding/binary"

// AMX multiplies whole registers: up to 16 rows of A of up to 16 pairs by as many
// rows of B of up to 16 columns. A kernel leaves nothing in the registers, because
// the goroutine may go on in another thread.

// amxDepth is the number of pairs along k in a register.
const amxDepth = 16

// tilesAMX holds the kernels by registers along the rows and the columns, less 1.
var tilesAMX = [2][2]func(t *Tile, shapes *byte, rows0, rows1, depth int){
	{tilePairs1x1AMX, tilePairs1x2AMX}, {tilePairs2x1AMX, tilePairs2x2AMX},
}

// tilePairsAMX walks along whole registers of every segment and then along the
// rest of every segment, for which the registers need other shapes.
func tilePairsAMX(t *Tile, rows0, rows1, cols int) {
	if t.Bias != nil && t.Accumulate != 0 { // a kernel starts from one of the two
		t.addBias(rows0+rows1, cols)
	}
	kernel := tilesAMX[min(rows1, 1)][(cols-1)/16]
	a0, a1, b, k, jumpA, jumpB, accumulate := t.A0, t.A1, t.B, t.K, t.JumpA, t.JumpB, t.Accumulate
	rest := k % amxDepth
	if whole := k - rest; whole > 0 {
		t.K, t.JumpA, t.JumpB = whole/amxDepth, jumpA+rest, jumpB+rest*t.StepB
		kernel(t, t.whole.of(rows0, rows1, cols, amxDepth), rows0, rows1, amxDepth)
		t.A0, t.B, t.Accumulate = at(a0, whole), at(b, whole*t.StepB), 1
		if rows1 > 0 {
			t.A1 = at(a1, whole)
		}
	}
	if rest > 0 {
		t.K, t.JumpA, t.JumpB = 1, jumpA+k-rest, jumpB+(k-rest)*t.StepB
		kernel(t, t.rest.of(rows0, rows1, cols, rest), rows0, rows1, rest)
	}
	t.A0, t.A1, t.B, t.K, t.JumpA, t.JumpB, t.Accumulate = a0, a1, b, k, jumpA, jumpB, accumulate
}

// addBias adds the bias to C.
func (t *Tile) addBias(rows, cols int) {
	for i := range rows {
		for j := range cols {
			*at(t.C, i*t.RowC+j) += *at(t.Bias, j)
		}
	}
}

// amxShapes holds the shapes of the registers for a kind of tile, as LDTILECFG
// expects them.
type amxShapes struct {
	kind   [4]int
	memory [64]byte
}

// of returns the shapes for a tile that takes depth pairs along k at once.
func (s *amxShapes) of(rows0, rows1, cols, depth int) *byte {
	if kind := [4]int{rows0, rows1, cols, depth}; s.kind != kind {
		s.kind, s.memory = kind, [64]byte{0: 1} // palette 1
		columns := [2]int{min(cols, 16), max(cols-16, 0)}
		for i, rows := range [2]int{rows0, rows1} {
			for j := range columns {
				s.set(2*i+j, rows, columns[j])
			}
			s.set(4+i, rows, depth)
			s.set(6+i, depth, columns[i])
		}
	}
	return &s.memory[0]
}

// set sets the shape of a register; without rows or columns, it is unused.
func (s *amxShapes) set(register, rows, columns int) {
	if rows > 0 && columns > 0 {
		s.memory[48+register] = byte(rows)
		binary.LittleEndian.PutUint16(s.memory[16+2*register:], uint16(4*columns))
	}
}
