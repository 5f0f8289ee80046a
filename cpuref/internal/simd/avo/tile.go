package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// tile generates one tile kernel: its rows are in two groups, its columns in
// vectors, and each row and column vector has an accumulator register.
type tile struct {
	vector
	rows0, rows1 int
	vectors      int
	pairs        bool // A and B hold pairs of bfloat16
	pool         bool // see poolTiles

	sum  [][]reg.Register  // by row and column vector
	b    []reg.Register    // one row of B
	x    reg.Register      // an element of A, or a vector to add at the end
	mask reg.OpmaskVirtual // of the last column vector; AVX-512 only

	// On the stack: how far this tile is from A0 and A1 in bytes, its address in C, what
	// it fetches first, and the number of tiles from here on.
	shift, next, ahead, left Mem
}

func (t *tile) rows() int { return t.rows0 + t.rows1 }

// tilesAVX512 generates tiles of 1 to 14 rows by one or two vectors. The first
// group has 7 rows if there is a second.
func tilesAVX512() {
	for rows := 1; rows <= 14; rows++ {
		for vectors := 1; vectors <= 2; vectors++ {
			t := &tile{vector: avx512, rows0: min(rows, 7), rows1: max(0, rows-7), vectors: vectors}
			t.function(fmt.Sprintf("tile%dx%d", rows, vectors*16), "t *Tile, cols int",
				fmt.Sprintf("computes t.Tiles tiles of %d×cols with at most %d columns.", rows, vectors*16))
			t.generate()
			t = &tile{vector: avx512, rows0: t.rows0, rows1: t.rows1, vectors: vectors, pairs: true}
			t.function(fmt.Sprintf("tilePairs%dx%d", rows, vectors*16), "t *Tile, cols int",
				fmt.Sprintf("computes t.Tiles tiles of %d×cols with at most %d columns from pairs.", rows, vectors*16))
			t.generate()
		}
	}
}

// tiles generates tiles of 1 to 3 plus 0 to 3 rows by two vectors.
func tiles(v vector) {
	for rows0 := 1; rows0 <= 3; rows0++ {
		for rows1 := 0; rows1 <= 3; rows1++ {
			t := &tile{vector: v, rows0: rows0, rows1: rows1, vectors: 2}
			t.function(fmt.Sprintf("tile%dplus%dx%d", rows0, rows1, 2*v.lanes), "t *Tile",
				fmt.Sprintf("computes t.Tiles tiles of %d + %d rows and %d columns.", rows0, rows1, 2*v.lanes))
			t.generate()
		}
	}
}

func (t *tile) generate() {
	t.allocate()
	t.ahead = AllocLocal(8)
	ahead := field("t", "Ahead")
	MOVQ(ahead, t.ahead)
	t.eachTile(t.rows(), func() {
		t.clear()
		t.prefetch()
		t.reduce()
		if t.lanes == 16 {
			t.makeMask()
		}
	}, t.finish)
}

// eachTile generates the loop over the tiles, which are that many rows of A apart.
// finish stores a tile's sums at c, and moves c to the next tile.
func (t *tile) eachTile(rows int, sum func(), finish func(c reg.GPVirtual)) {
	t.shift, t.next, t.left = AllocLocal(8), AllocLocal(8), AllocLocal(8)
	MOVQ(U32(0), t.shift)
	c, tiles := field("t", "C"), field("t", "Tiles")
	MOVQ(c, t.next)
	MOVQ(tiles, t.left)
	Label("tiles")
	sum()
	c = GP64()
	MOVQ(t.next, c)
	finish(c)
	MOVQ(c, t.next)
	ADDQ(times(rows, bytesOf(field("t", "RowA"))), t.shift)
	DECQ(t.left)
	JNZ(LabelRef("tiles"))
	VZEROUPPER()
	RET()
}

// clear sets the sums to 0.
func (t *tile) clear() {
	for _, row := range t.sum {
		for _, r := range row {
			VXORPS(r, r, r)
		}
	}
}

// allocate chooses the registers. Tiles of pairs need physical ones, because
// they contain instructions encoded as bytes, before avo allocates registers.
func (t *tile) allocate() {
	next := func() reg.Register { return t.new() }
	if t.pairs {
		physical := [32]reg.Register{reg.Z0, reg.Z1, reg.Z2, reg.Z3, reg.Z4, reg.Z5, reg.Z6, reg.Z7,
			reg.Z8, reg.Z9, reg.Z10, reg.Z11, reg.Z12, reg.Z13, reg.Z14, reg.Z15,
			reg.Z16, reg.Z17, reg.Z18, reg.Z19, reg.Z20, reg.Z21, reg.Z22, reg.Z23,
			reg.Z24, reg.Z25, reg.Z26, reg.Z27, reg.Z28, reg.Z29, reg.Z30, reg.Z31}
		used := -1
		next = func() reg.Register { used++; return physical[used] }
	}
	several := func() (r []reg.Register) {
		for range t.vectors {
			r = append(r, next())
		}
		return r
	}
	t.b, t.x = several(), next()
	for range t.rows() {
		t.sum = append(t.sum, several())
	}
}

// prefetch prefetches the lines of C, so that they are in the cache when the
// sums are done.
func (t *tile) prefetch() {
	c, rowC := GP64(), bytesOf(field("t", "RowC"))
	MOVQ(t.next, c)
	for i := range t.rows() {
		for offset := 0; offset < t.vectors*t.bytes(); offset += 64 {
			PREFETCHT0(at(c, offset))
		}
		if i < t.rows()-1 {
			ADDQ(rowC, c)
		}
	}
}

// groups returns the addresses of the groups of A's rows.
func (t *tile) groups() []reg.GPVirtual {
	a := []reg.GPVirtual{field("t", "A0")}
	if t.rows1 > 0 {
		a = append(a, field("t", "A1"))
	}
	for _, r := range a {
		ADDQ(t.shift, r)
	}
	return a
}

// reduce walks along k, segments and blocks.
func (t *tile) reduce() {
	a, b := t.groups(), field("t", "B")
	rowA := multiples(bytesOf(field("t", "RowA")), max(t.rows0, t.rows1))
	stepA, stepB := bytesOf(field("t", "StepA")), bytesOf(field("t", "StepB"))
	var ahead, stepAhead reg.GPVirtual
	if !t.pool {
		ahead, stepAhead = GP64(), bytesOf(field("t", "StepAhead"))
		MOVQ(t.ahead, ahead)
		TESTQ(ahead, ahead)
		CMOVQEQ(b, ahead)
	}

	blocks := field("t", "Blocks")
	Label("blocks")
	segments := field("t", "Segments")
	Label("segments")
	k := field("t", "K")
	loop("k", k, func() {
		for j, r := range t.b {
			VMOVUPS(at(b, j*t.bytes()), r)
		}
		if !t.pool {
			PREFETCHT1(Mem{Base: ahead})
			ADDQ(stepAhead, ahead)
		}
		for i := range t.rows0 {
			t.multiply(rowA(a[0], i), i)
		}
		for i := range t.rows1 {
			t.multiply(rowA(a[1], i), t.rows0+i)
		}
		for _, r := range a {
			ADDQ(stepA, r)
		}
		ADDQ(stepB, b)
	})
	t.jump(a, b, "JumpA", "JumpB")
	if !t.pool {
		d := field("t", "JumpAhead")
		LEAQ(Mem{Base: ahead, Index: d, Scale: 4}, ahead)
	}
	DECQ(segments)
	JNZ(LabelRef("segments"))
	t.jump(a, b, "BlockJumpA", "BlockJumpB")
	DECQ(blocks)
	JNZ(LabelRef("blocks"))
	if !t.pool {
		MOVQ(ahead, t.ahead)
	}
}

// multiply adds the product of element a and the row of B to the sums of a row.
func (t *tile) multiply(a Mem, row int) {
	if t.lanes == 16 && t.vectors == 1 && !t.pairs {
		VFMADD231PS_BCST(a, t.b[0], t.sum[row][0])
		return
	}
	VBROADCASTSS(a, t.x)
	for j, b := range t.b {
		if t.pairs {
			vdpbf16ps(t.x, b, t.sum[row][j])
		} else {
			VFMADD231PS(t.x, b, t.sum[row][j])
		}
	}
}

// jump moves the addresses of the operands by the distances in two fields.
func (t *tile) jump(a []reg.GPVirtual, b reg.GPVirtual, fieldA, fieldB string) {
	d := field("t", fieldA)
	for _, r := range a {
		LEAQ(Mem{Base: r, Index: d, Scale: 4}, r)
	}
	d = field("t", fieldB)
	LEAQ(Mem{Base: b, Index: d, Scale: 4}, b)
}

// makeMask sets the mask of the columns in the last vector.
func (t *tile) makeMask() {
	cols, ones := param("cols"), GP32()
	if t.vectors > 1 {
		SUBQ(U32(t.lanes*(t.vectors-1)), cols)
	}
	MOVL(I32(-1), ones)
	BZHIL(cols.As32(), ones, ones)
	t.mask = K()
	KMOVW(ones, t.mask)
}

// finish adds C and the bias if requested, stores the sums at c, and moves c to the next
// tile.
func (t *tile) finish(c reg.GPVirtual) {
	rowC := bytesOf(field("t", "RowC"))
	accumulate, bias := field("t", "Accumulate"), field("t", "Bias")

	TESTQ(accumulate, accumulate)
	JZ(LabelRef("bias"))
	row := GP64()
	MOVQ(c, row)
	for _, sums := range t.sum {
		for j, s := range sums {
			t.addMemory(at(row, j*t.bytes()), j, s)
		}
		ADDQ(rowC, row)
	}

	Label("bias")
	t.addBias(bias)
	for _, sums := range t.sum {
		for j, s := range sums {
			t.store(s, c, j)
		}
		ADDQ(rowC, c)
	}
}

// addBias adds the bias if there is one.
func (t *tile) addBias(bias reg.GPVirtual) {
	TESTQ(bias, bias)
	JZ(LabelRef("store"))
	for j, b := range t.b {
		VXORPS(b, b, b)
		t.addMemory(at(bias, j*t.bytes()), j, b)
	}
	for _, sums := range t.sum {
		for j, s := range sums {
			VADDPS(t.b[j], s, s)
		}
	}
	Label("store")
}

// store stores s as column vector j of the row at c.
func (t *tile) store(s reg.Register, c reg.GPVirtual, j int) {
	if t.masked(j) {
		VMOVUPS(s, t.mask, at(c, j*t.bytes()))
	} else {
		VMOVUPS(s, at(c, j*t.bytes()))
	}
}

// masked reports whether column vector j may have fewer columns than lanes.
func (t *tile) masked(j int) bool { return t.lanes == 16 && j == t.vectors-1 && !t.pool }

// addMemory adds the vector at m, of column vector j, to s.
func (t *tile) addMemory(m Mem, j int, s reg.Register) {
	if !t.masked(j) {
		VADDPS(m, s, s)
		return
	}
	VMOVUPS_Z(m, t.mask, t.x)
	VADDPS(t.x, s, s)
}
