package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/ir"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// tileAMX generates a kernel for products of one or two tile registers of rows by
// one or two of columns. Its registers are physical, because instructions that are
// encoded as bytes use them.
type tileAMX struct {
	groups, vectors  int
	a                [2]reg.GPPhysical // by group
	b                reg.GPPhysical
	c                [2]reg.GPPhysical // by group
	rowA, rowB, rowC reg.GPPhysical    // distances in bytes
}

// The tile registers. The sum of a group and a vector of columns is number
// 2·group + vector.
const (
	tileA = 4 // by group
	tileB = 6 // by vector
)

// tilesAMX generates the four kernels.
func tilesAMX() {
	for groups := 1; groups <= 2; groups++ {
		for vectors := 1; vectors <= 2; vectors++ {
			k := &tileAMX{groups, vectors, [2]reg.GPPhysical{reg.R8, reg.R9}, reg.R10,
				[2]reg.GPPhysical{reg.R11, reg.R12}, reg.R13, reg.R14, reg.R15}
			begin(fmt.Sprintf("tilePairs%dx%dAMX", groups, vectors), "t *Tile, shapes *byte, rows0, rows1, depth int",
				fmt.Sprintf("computes a tile of %d×%d tile registers of the given shapes from pairs, depth pairs per step; t.K counts the steps.", groups, vectors))
			k.generate()
		}
	}
}

func (k *tileAMX) generate() {
	k.addresses()
	k.prefetch()
	k.start()
	depth := param("depth")
	stepA, stepB := GP64(), GP64()
	MOVQ(depth, stepA)
	bytesOf(stepA)
	MOVQ(k.rowB, stepB)
	IMULQ(depth, stepB)
	a := k.a[:k.groups]
	blocks := field("t", "Blocks")
	Label("blocks")
	segments := field("t", "Segments")
	Label("segments")
	steps := field("t", "K")
	loop("k", steps, func() {
		k.multiply()
		for _, r := range a {
			ADDQ(stepA, r)
		}
		ADDQ(stepB, k.b)
	})
	k.jump("JumpA", "JumpB")
	DECQ(segments)
	JNZ(LabelRef("segments"))
	k.jump("BlockJumpA", "BlockJumpB")
	DECQ(blocks)
	JNZ(LabelRef("blocks"))
	for group := range k.groups {
		for v := range k.vectors {
			moveTile(prefixF3, 2*group+v, k.c[group], k.rowC, 64*v)
		}
	}
	tileInstruction(prefixNone, opcodeTiles, 0xc0) // TILERELEASE
	RET()
}

// addresses loads the addresses and distances, and the shapes of the registers.
func (k *tileAMX) addresses() {
	load := func(name string, to reg.GPPhysical) { Load(Dereference(Param("t")).Field(name), to) }
	load("A0", k.a[0])
	load("B", k.b)
	load("C", k.c[0])
	load("RowA", k.rowA)
	load("StepB", k.rowB)
	load("RowC", k.rowC)
	for _, r := range []reg.GPPhysical{k.rowA, k.rowB, k.rowC} {
		SHLQ(Imm(2), r)
	}
	if k.groups > 1 {
		load("A1", k.a[1])
		Load(Param("rows0"), k.c[1])
		IMULQ(k.rowC, k.c[1])
		ADDQ(k.c[0], k.c[1])
	}
	shapes := reg.RAX
	Load(Param("shapes"), shapes)
	tileInstruction(prefixNone, opcodeTiles, 0x00, shapes) // LDTILECFG (AX)
}

// prefetch prefetches the lines of C, so that they are in the cache when the sums
// are done.
func (k *tileAMX) prefetch() {
	for group, name := range []string{"rows0", "rows1"}[:k.groups] {
		c, rows := GP64(), param(name)
		MOVQ(k.c[group], c)
		loop("prefetch"+name, rows, func() {
			for v := range k.vectors {
				PREFETCHT0(at(c, 64*v))
			}
			ADDQ(k.rowC, c)
		})
	}
}

// start sets the sums to C, to the bias or to 0.
func (k *tileAMX) start() {
	accumulate, bias := field("t", "Accumulate"), reg.RAX
	Load(Dereference(Param("t")).Field("Bias"), bias)
	TESTQ(accumulate, accumulate)
	JNZ(LabelRef("old"))
	TESTQ(bias, bias)
	JNZ(LabelRef("bias"))
	k.eachSum(func(sum, _, _ int) { tileInstruction(prefixF2, opcodeTiles, 0xc0|byte(sum)<<3) }) // TILEZERO
	JMP(LabelRef("started"))
	Label("bias")
	k.eachSum(func(sum, _, v int) { moveTile(prefixF2, sum, bias, nil, 64*v) })
	JMP(LabelRef("started"))
	Label("old")
	k.eachSum(func(sum, group, v int) { moveTile(prefixF2, sum, k.c[group], k.rowC, 64*v) })
	Label("started")
}

// eachSum calls body for every sum.
func (k *tileAMX) eachSum(body func(sum, group, v int)) {
	for group := range k.groups {
		for v := range k.vectors {
			body(2*group+v, group, v)
		}
	}
}

// multiply adds the products of one step. All loads come first: that is up to 5 % faster
// while another thread occupies the core.
func (k *tileAMX) multiply() {
	for v := range k.vectors {
		moveTile(prefixF2, tileB+v, k.b, k.rowB, 64*v)
	}
	for group := range k.groups {
		moveTile(prefixF2, tileA+group, k.a[group], k.rowA, 0)
	}
	k.eachSum(func(sum, group, v int) { tdpbf16ps(sum, tileA+group, tileB+v) })
}

// jump moves the addresses of the operands by the distances in two fields.
func (k *tileAMX) jump(fieldA, fieldB string) {
	d := field("t", fieldA)
	for _, r := range k.a[:k.groups] {
		LEAQ(Mem{Base: r, Index: d, Scale: 4}, r)
	}
	d = field("t", fieldB)
	LEAQ(Mem{Base: k.b, Index: d, Scale: 4}, k.b)
}

// Go's assembler lacks the instructions of AMX too. Intel's manual (volume 2,
// 2.3.5) documents the VEX prefix, here of map 0F38 with W0.

const (
	prefixNone = 0 // as encoded in the pp bits

	opcodeTiles    = 0x49 // configure, release or zero
	opcodeMoveTile = 0x4b
	opcodeDotTiles = 0x5c

	map0F38      = 2
	noVVVV       = 15 << 3      // inverted
	noExtensions = 7 << 5       // of registers' numbers, inverted
	vex3         = 0xc4         // a prefix of three bytes
	disp8, sib   = 1 << 6, 4    // of ModRM: an 8-bit displacement, and an SIB byte
	noIndex      = byte(4) << 3 // of SIB
)

// moveTile loads (prefix F2) or stores (F3) a tile register, whose rows are
// distance bytes apart; without a distance, all rows are the same.
func moveTile(prefix byte, tile int, base, distance reg.GPPhysical, offset int) {
	b := base.PhysicalIndex()
	inputs, index, extension := []Op{base}, noIndex, byte(noExtensions)
	if distance != nil {
		d := distance.PhysicalIndex()
		inputs = append(inputs, distance)
		index = byte(d&7) << 3
		extension ^= byte(d >> 3 << 6)
	}
	extension ^= byte(b >> 3 << 5)
	encode(inputs, vex3, extension|map0F38, noVVVV|prefix, opcodeMoveTile,
		disp8|byte(tile)<<3|sib, index|byte(b&7), byte(offset))
}

// tdpbf16ps adds the products of the pairs in tile registers a and b to sum.
func tdpbf16ps(sum, a, b int) {
	encode(nil, vex3, noExtensions|map0F38, byte(noVVVV^b<<3|prefixF3), opcodeDotTiles, byte(3<<6|sum<<3|a))
}

// tileInstruction emits an instruction without an SIB byte.
func tileInstruction(prefix, opcode, modRM byte, inputs ...Op) {
	encode(inputs, vex3, noExtensions|map0F38, noVVVV|prefix, opcode, modRM)
}

// encode emits the bytes of an instruction that reads inputs.
func encode(inputs []Op, bytes ...byte) {
	for _, b := range bytes {
		Instruction(&ir.Instruction{Opcode: "BYTE", Operands: []Op{U8(b)}, Inputs: inputs, ISA: []string{"AMX_BF16"}})
	}
}
