package main

import (
	"fmt"
	"strings"

	"github.com/mmcloughlin/avo/ir"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// The kernels of four lanes are written in AVX instructions on XMM registers.
// toNEON translates them to arm64: general register n becomes Rn, and vector
// register n Vn. Go's assembler lacks most of NEON's arithmetic, so vector
// instructions are encoded here; Arm's manual (DDI 0487, C7.2) has the encodings.

// Registers that the kernels do not use: they need fewer.
const (
	address = 16 // of general registers
	scratch = 31 // of vector registers
)

// threeSame are the instructions on Vd, Vn and Vm, and twoSame those on Vd and Vn,
// with their encodings for registers 0.
var (
	threeSame = map[string]uint32{
		"FADD.4S": 0x4E20D400, "FSUB.4S": 0x4EA0D400, "FMUL.4S": 0x6E20DC00, "FDIV.4S": 0x6E20FC00,
		"FMAX.4S": 0x4E20F400, "FMLA.4S": 0x4E20CC00, "FMLS.4S": 0x4EA0CC00,
		"FCMEQ.4S": 0x4E20E400, "FCMGE.4S": 0x6E20E400, "FCMGT.4S": 0x6EA0E400, "CMEQ.4S": 0x6EA08C00,
		"AND.16B": 0x4E201C00, "ORR.16B": 0x4EA01C00, "EOR.16B": 0x6E201C00, "BIT.16B": 0x6EA01C00,
		"ZIP1.4S": 0x4E803800, "ZIP2.4S": 0x4E807800, "ZIP1.2D": 0x4EC03800, "ZIP2.2D": 0x4EC07800,
	}
	twoSame = map[string]uint32{"FSQRT.4S": 0x6EA1F800, "NOT.16B": 0x6E205800, "DUP.4S": 0x4E040400}
)

// arithmetic maps AVX instructions d = y op x to NEON's. FMAX returns NaN if
// either is NaN.
var arithmetic = map[string]string{
	"VADDPS": "FADD.4S", "VSUBPS": "FSUB.4S", "VMULPS": "FMUL.4S", "VDIVPS": "FDIV.4S", "VMAXPS": "FMAX.4S",
	"VXORPS": "EOR.16B", "VANDPS": "AND.16B", "VPCMPEQD": "CMEQ.4S",
	"VUNPCKLPS": "ZIP1.4S", "VUNPCKHPS": "ZIP2.4S", "VUNPCKLPD": "ZIP1.2D", "VUNPCKHPD": "ZIP2.2D",
}

// branches maps conditional jumps. CMPQ and TESTQ set flags, and so do SUBQ and
// DECQ, but not ADDQ.
var branches = map[string]string{"JMP": "B", "JZ": "BEQ", "JE": "BEQ", "JNZ": "BNE", "JNE": "BNE", "JL": "BLT"}

// translation collects the instructions of a function.
type translation struct{ nodes []ir.Node }

// toNEON is a pass after registers are allocated.
func toNEON(fn *ir.Function) error {
	t := &translation{}
	for _, node := range fn.Nodes {
		i, ok := node.(*ir.Instruction)
		switch {
		case !ok:
			t.nodes = append(t.nodes, node)
		case strings.HasPrefix(i.Opcode, "V"):
			if err := t.vector(i.Opcode, i.Operands); err != nil {
				return fmt.Errorf("%s: %w", fn.Name, err)
			}
		default:
			if err := t.general(i.Opcode, i.Operands); err != nil {
				return fmt.Errorf("%s: %w", fn.Name, err)
			}
		}
	}
	fn.Nodes, fn.ISA, fn.LocalSize = t.nodes, nil, 0 // amd64 saves its base pointer
	return nil
}

func (t *translation) emit(format string, args ...any) {
	t.nodes = append(t.nodes, &ir.Instruction{Opcode: fmt.Sprintf(format, args...)})
}

// three and two emit encoded instructions.
func (t *translation) three(opcode string, m, n, d int) {
	name, arrangement, _ := strings.Cut(opcode, ".")
	t.emit("WORD $0x%08X // %s V%d.%[4]s, V%[5]d.%[4]s, V%[6]d.%[4]s",
		threeSame[opcode]|uint32(m<<16|n<<5|d), name, d, arrangement, n, m)
}

func (t *translation) two(opcode string, n, d int) {
	name, arrangement, _ := strings.Cut(opcode, ".")
	t.emit("WORD $0x%08X // %s V%d.%[4]s, V%[5]d", twoSame[opcode]|uint32(n<<5|d), name, d, arrangement, n)
}

// register returns the number of an operand's register.
func register(o Op) int { return int(reg.ToPhysical(o.(reg.Register)).PhysicalIndex()) }

// inRegister returns the number of a vector register with the contents of o.
func (t *translation) inRegister(o Op) int {
	if m, ok := o.(Mem); ok {
		t.load(m, scratch)
		return scratch
	}
	return register(o)
}

// addressOf returns the register of m's address, or of its base, and the offset
// from that.
func (t *translation) addressOf(m Mem) (base, offset int) {
	base = register(m.Base)
	if m.Index == nil {
		return base, m.Disp
	}
	shift := map[uint8]int{1: 0, 2: 1, 4: 2, 8: 3}[m.Scale]
	t.emit("ADD R%d<<%d, R%d, R%d", register(m.Index), shift, base, address)
	return address, m.Disp
}

// isIndexed reports whether m is a base plus an index, which loads and stores of
// vectors can add. Go's assembler lacks that form.
func isIndexed(m Mem) bool { return m.Index != nil && m.Scale == 1 && m.Disp == 0 }

func (t *translation) load(m Mem, to int) {
	if isIndexed(m) {
		index, base := register(m.Index), register(m.Base)
		t.emit("WORD $0x%08X // LDR Q%d, [X%d, X%d]", 0x3CE06800|index<<16|base<<5|to, to, base, index)
		return
	}
	base, offset := t.addressOf(m)
	t.emit("FMOVQ %d(R%d), F%d", offset, base, to)
}

func (t *translation) store(from int, m Mem) {
	if isIndexed(m) {
		index, base := register(m.Index), register(m.Base)
		t.emit("WORD $0x%08X // STR Q%d, [X%d, X%d]", 0x3CA06800|index<<16|base<<5|from, from, base, index)
		return
	}
	base, offset := t.addressOf(m)
	t.emit("FMOVQ F%d, %d(R%d)", from, offset, base)
}

// vector translates a vector instruction.
func (t *translation) vector(opcode string, o []Op) error {
	if name, ok := arithmetic[opcode]; ok {
		t.three(name, t.inRegister(o[0]), register(o[1]), register(o[2]))
		return nil
	}
	switch opcode {
	case "VZEROUPPER":
	case "VMOVD":
		t.emit("FMOVS R%d, F%d", register(o[0]), register(o[1]))
	case "VMOVUPS", "VMOVAPS":
		t.move(o[0], o[1])
	case "VSQRTPS":
		t.two("FSQRT.4S", register(o[0]), register(o[1]))
	case "VBROADCASTSS":
		base, offset := t.addressOf(o[0].(Mem))
		if offset != 0 {
			t.emit("ADD $%d, R%d, R%d", offset, base, address)
			base = address
		}
		t.emit("VLD1R (R%d), [V%d.S4]", base, register(o[1]))
	case "VPBROADCASTD":
		t.two("DUP.4S", register(o[0]), register(o[1]))
	case "VFMADD231PS":
		t.three("FMLA.4S", t.inRegister(o[0]), register(o[1]), register(o[2]))
	case "VFNMADD231PS":
		t.three("FMLS.4S", t.inRegister(o[0]), register(o[1]), register(o[2]))
	case "VFMADD213PS":
		sum := o[2]
		t.copy(t.inRegister(o[0]), scratch)
		t.three("FMLA.4S", register(o[1]), register(sum), scratch)
		t.copy(scratch, register(sum))
	case "VCMPPS":
		return t.compare(o[0], register(o[2]), register(o[1]), register(o[3]))
	case "VBLENDVPS": // o[2] is o[3]: it changes where the mask o[0] is set
		t.three("BIT.16B", register(o[0]), t.inRegister(o[1]), register(o[3]))
	default:
		return fmt.Errorf("%s has no translation", opcode)
	}
	return nil
}

// copy copies a vector register.
func (t *translation) copy(from, to int) {
	if from != to {
		t.three("ORR.16B", from, from, to)
	}
}

func (t *translation) move(from, to Op) {
	if m, ok := to.(Mem); ok {
		t.store(register(from), m)
	} else if m, ok := from.(Mem); ok {
		t.load(m, register(to))
	} else {
		t.copy(register(from), register(to))
	}
}

// compare computes d = x predicate y.
func (t *translation) compare(predicate Op, x, y, d int) error {
	switch predicate {
	case Imm(greater):
		t.three("FCMGT.4S", y, x, d)
	case Imm(ordered): // y is x
		t.three("FCMEQ.4S", y, x, d)
	case Imm(notLessOrEqual):
		t.three("FCMGE.4S", x, y, d)
		t.two("NOT.16B", d, d)
	default:
		return fmt.Errorf("predicate %v has no translation", predicate)
	}
	return nil
}

// general translates an instruction on general registers.
func (t *translation) general(opcode string, o []Op) error {
	if branch, ok := branches[opcode]; ok {
		t.emit("%s %s", branch, o[0].Asm())
		return nil
	}
	switch opcode {
	case "PREFETCHT0": // the distances were measured on amd64
	case "RET":
		t.emit("RET")
	case "MOVQ":
		t.moveGeneral(o[0], register(o[1]))
	case "MOVL":
		t.emit("MOVW %s, R%d", o[0].Asm(), register(o[1]))
	case "XORQ": // of a register with itself
		t.emit("MOVD $0, R%d", register(o[1]))
	case "LEAQ":
		base, offset := t.addressOf(o[0].(Mem))
		t.emit("ADD $%d, R%d, R%d", offset, base, register(o[1]))
	case "IMUL3Q":
		t.emit("MOVD %s, R%d", o[0].Asm(), address)
		t.emit("MUL R%d, R%d, R%d", address, register(o[1]), register(o[2]))
	case "SHLQ":
		t.emit("LSL %s, R%d, R%[2]d", o[0].Asm(), register(o[1]))
	case "ADDQ":
		t.emit("ADD %s, R%d, R%[2]d", value(o[0]), register(o[1]))
	case "SUBQ":
		t.emit("SUBS %s, R%d, R%[2]d", value(o[0]), register(o[1]))
	case "DECQ":
		t.emit("SUBS $1, R%d, R%[1]d", register(o[0]))
	case "CMPQ":
		t.emit("CMP %s, R%d", value(o[1]), register(o[0]))
	case "TESTQ": // of a register with itself
		t.emit("CMP $0, R%d", register(o[1]))
	default:
		return fmt.Errorf("%s has no translation", opcode)
	}
	return nil
}

// value returns a register or a constant as an operand.
func value(o Op) string {
	if IsRegister(o) {
		return fmt.Sprintf("R%d", register(o))
	}
	return o.Asm()
}

func (t *translation) moveGeneral(from Op, to int) {
	m, ok := from.(Mem)
	switch {
	case !ok:
		t.emit("MOVD R%d, R%d", register(from), to)
	case m.Symbol.Name != "": // a parameter
		t.emit("MOVD %s, R%d", m.Asm(), to)
	default:
		base, offset := t.addressOf(m)
		t.emit("MOVD %d(R%d), R%d", offset, base, to)
	}
}
