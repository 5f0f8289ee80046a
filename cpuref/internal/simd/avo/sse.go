package main

import (
	"fmt"
	"slices"
	"strings"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/ir"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/x86"
)

// The kernels of four lanes are written in AVX instructions on XMM registers,
// too. toSSE replaces them by instructions that every amd64 processor has: those
// have two operands, no fused multiply-add, and no unaligned memory operands.

// sseLowering collects the instructions of a function.
type sseLowering struct {
	nodes []ir.Node
	err   error // the first
}

// toSSE is a pass before registers are allocated.
func toSSE(fn *ir.Function) error {
	if !strings.HasSuffix(fn.Name, sse.suffix) {
		return nil
	}
	l := &sseLowering{}
	for _, node := range fn.Nodes {
		if i, ok := node.(*ir.Instruction); ok && strings.HasPrefix(i.Opcode, "V") {
			l.lower(i.Opcode, i.Operands)
		} else {
			l.nodes = append(l.nodes, node)
		}
	}
	fn.Nodes = l.nodes
	return l.err
}

// pruneCopies is a pass after registers are allocated: it removes copies of
// registers to themselves.
func pruneCopies(fn *ir.Function) error {
	fn.Nodes = slices.DeleteFunc(fn.Nodes, func(node ir.Node) bool {
		i, ok := node.(*ir.Instruction)
		return ok && i.Opcode == "MOVUPS" && i.Operands[0] == i.Operands[1]
	})
	return nil
}

func (l *sseLowering) emit(i *ir.Instruction, err error) {
	if err != nil && l.err == nil {
		l.err = err
	}
	l.nodes = append(l.nodes, i)
}

// copyOf returns a new register with the contents of a register or of memory.
func (l *sseLowering) copyOf(from Op) Op {
	r := XMM()
	l.emit(x86.MOVUPS(from, r))
	return r
}

// inRegister returns a register with the contents of from.
func (l *sseLowering) inRegister(from Op) Op {
	if IsMem(from) {
		return l.copyOf(from)
	}
	return from
}

// twoOperand is an instruction that computes y = y op x.
type twoOperand struct {
	make        func(x, y Op) (*ir.Instruction, error)
	commutative bool
}

var twoOperands = map[string]twoOperand{
	"VADDPS": {x86.ADDPS, true}, "VSUBPS": {x86.SUBPS, false},
	"VMULPS": {x86.MULPS, true}, "VDIVPS": {x86.DIVPS, false},
	"VMAXPS": {x86.MAXPS, false}, // of a NaN and a number, it returns x
	"VXORPS": {x86.XORPS, true}, "VANDPS": {x86.ANDPS, true}, "VPCMPEQD": {x86.PCMPEQL, true},
	"VUNPCKLPS": {x86.UNPCKLPS, false}, "VUNPCKHPS": {x86.UNPCKHPS, false},
	"VUNPCKLPD": {x86.UNPCKLPD, false}, "VUNPCKHPD": {x86.UNPCKHPD, false},
}

// lower emits what one AVX instruction does.
func (l *sseLowering) lower(opcode string, o []Op) {
	if two, ok := twoOperands[opcode]; ok {
		l.threeOperands(two, o[0], o[1], o[2])
		return
	}
	switch opcode {
	case "VZEROUPPER":
	case "VMOVUPS", "VMOVAPS":
		l.emit(x86.MOVUPS(o[0], o[1]))
	case "VMOVD":
		l.emit(x86.MOVD(o[0], o[1]))
	case "VSQRTPS":
		l.emit(x86.SQRTPS(o[0], o[1]))
	case "VBROADCASTSS":
		l.emit(x86.MOVSS(o[0], o[1]))
		l.emit(x86.SHUFPS(Imm(0), o[1], o[1]))
	case "VPBROADCASTD":
		l.emit(x86.PSHUFD(Imm(0), o[0], o[1]))
	case "VFMADD231PS", "VFNMADD231PS":
		product := l.copyOf(o[0])
		l.emit(x86.MULPS(o[1], product))
		if opcode == "VFMADD231PS" {
			l.emit(x86.ADDPS(product, o[2]))
		} else {
			l.emit(x86.SUBPS(product, o[2]))
		}
	case "VFMADD213PS":
		l.emit(x86.MULPS(o[1], o[2]))
		l.emit(x86.ADDPS(l.inRegister(o[0]), o[2]))
	case "VCMPPS":
		l.compare(o[0], o[2], o[1], o[3])
	case "VBLENDVPS": // o[2] is o[3]: it changes where the mask o[0] is set
		difference := l.copyOf(o[1])
		l.emit(x86.XORPS(o[2], difference))
		l.emit(x86.ANDPS(o[0], difference))
		l.emit(x86.XORPS(difference, o[3]))
	default:
		l.emit(nil, fmt.Errorf("%s has no SSE form", opcode))
	}
}

// threeOperands computes to = y op x. x may be memory.
func (l *sseLowering) threeOperands(op twoOperand, x, y, to Op) {
	switch {
	case to == y:
		x = l.inRegister(x)
	case op.commutative:
		if to != x {
			l.emit(x86.MOVUPS(x, to))
		}
		x = y
	default:
		if IsMem(x) || to == x {
			x = l.copyOf(x)
		}
		l.emit(x86.MOVUPS(y, to))
	}
	l.emit(op.make(x, to))
}

// compare computes to = x predicate y.
func (l *sseLowering) compare(predicate, x, y, to Op) {
	const lessThan, notLessEqual = 1, 6 // SSE's predicates
	var code Op
	switch predicate {
	case Imm(ordered):
		code = predicate
	case Imm(greater):
		x, y, code = y, x, Imm(lessThan)
	case Imm(notLessOrEqual):
		code = Imm(notLessEqual)
	default:
		l.emit(nil, fmt.Errorf("predicate %v has no SSE form", predicate))
		return
	}
	result := l.copyOf(x)
	l.emit(x86.CMPPS(y, result, code))
	l.emit(x86.MOVUPS(result, to))
}
