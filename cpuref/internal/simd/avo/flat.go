package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Predicates of VCMPPS.
const (
	notLessOrEqual = 0x16 // true if either is NaN
	greater        = 0x1e // false if either is NaN
	greaterEqual   = 0x1d // false if either is NaN
	ordered        = 0x07 // neither is NaN
)

// unroll is the number of vectors per iteration of a flat loop.
const unroll = 4

// flat generates the loop of an element-wise function over n elements, where n
// is a multiple of the lanes; body works on the vectors at the given addresses.
func (v vector) flat(arrays []string, body func(m []Mem)) {
	addresses := make([]reg.GPVirtual, len(arrays))
	for i, name := range arrays {
		addresses[i] = param(name)
	}
	n := param("n")
	step := func(vectors int) {
		for u := range vectors {
			m := make([]Mem, len(addresses))
			for i, r := range addresses {
				m[i] = at(r, u*v.bytes())
			}
			body(m)
		}
		for _, r := range addresses {
			ADDQ(U32(vectors*v.bytes()), r)
		}
		SUBQ(U32(vectors*v.lanes), n)
	}
	Label("many")
	CMPQ(n, U32(unroll*v.lanes))
	JL(LabelRef("one"))
	step(unroll)
	JMP(LabelRef("many"))
	Label("one")
	TESTQ(n, n)
	JZ(LabelRef("done"))
	step(1)
	JMP(LabelRef("one"))
	Label("done")
	VZEROUPPER()
	RET()
}

// broadcast fills a register with a float32 field of a struct parameter.
func (v vector) broadcast(parameter, name string) reg.VecVirtual {
	a, err := Dereference(Param(parameter)).Field(name).Resolve()
	if err != nil {
		panic(fmt.Sprintf("field %s: %v", name, err))
	}
	r := v.new()
	VBROADCASTSS(a.Addr, r)
	return r
}

// load returns a register with the vector at m.
func (v vector) load(m Mem) reg.VecVirtual {
	r := v.new()
	VMOVUPS(m, r)
	return r
}

func add(v vector) {
	v.function("add", "y, x *float32, n int", "adds x to y.")
	v.flat([]string{"y", "x"}, func(m []Mem) {
		y := v.load(m[0])
		VADDPS(m[1], y, y)
		VMOVUPS(y, m[0])
	})
}

func reluForward(v vector) {
	v.function("reluForward", "y, x *float32, n int", "computes y = max(x, 0).")
	zero := v.new()
	VXORPS(zero, zero, zero)
	v.flat([]string{"y", "x"}, func(m []Mem) {
		y := v.new()
		VMAXPS(m[1], zero, y) // returns its second source, x, if that is NaN
		VMOVUPS(y, m[0])
	})
}

func reluBackward(v vector) {
	v.function("reluBackward", "dx, y, dy *float32, n int", "computes dx = dy where y > 0, else 0.")
	zero := v.new()
	VXORPS(zero, zero, zero)
	v.flat([]string{"dx", "y", "dy"}, func(m []Mem) {
		y := v.load(m[1])
		if v.lanes == 16 {
			positive, dx := K(), v.new()
			VCMPPS(Imm(greater), zero, y, positive)
			VMOVUPS_Z(m[2], positive, dx)
			VMOVUPS(dx, m[0])
			return
		}
		VCMPPS(Imm(greater), zero, y, y)
		VANDPS(m[2], y, y)
		VMOVUPS(y, m[0])
	})
}

func adam(v vector) {
	v.function("adam", "param, grad, m, v *float32, n int, s *AdamStep", "performs one step of Adam.")
	beta1, rest1 := v.broadcast("s", "Beta1"), v.broadcast("s", "OneMinusBeta1")
	beta2, rest2 := v.broadcast("s", "Beta2"), v.broadcast("s", "OneMinusBeta2")
	size, root := v.broadcast("s", "StepSize"), v.broadcast("s", "RootCorrection")
	eps, decay, keep := v.broadcast("s", "Eps"), v.broadcast("s", "WeightDecay"), v.broadcast("s", "Keep")
	v.flat([]string{"param", "grad", "m", "v"}, func(m []Mem) {
		p, g := v.load(m[0]), v.load(m[1])
		VFMADD231PS(p, decay, g)
		first, square := v.new(), v.new()
		VMULPS(m[2], beta1, first)
		VFMADD231PS(g, rest1, first)
		VMOVUPS(first, m[2])
		VMULPS(g, g, g)
		VMULPS(m[3], beta2, square)
		VFMADD231PS(g, rest2, square)
		VMOVUPS(square, m[3])
		VSQRTPS(square, square)
		VDIVPS(root, square, square)
		VADDPS(eps, square, square)
		VMULPS(size, first, first)
		VDIVPS(square, first, first)
		VMULPS(keep, p, p)
		VSUBPS(first, p, p)
		VMOVUPS(p, m[0])
	})
}

func sgd(v vector) {
	v.function("sgd", "param, grad *float32, n int, s *SGDStep", "performs one step of SGD without momentum.")
	rate, decay := v.broadcast("s", "Rate"), v.broadcast("s", "WeightDecay")
	v.flat([]string{"param", "grad"}, func(m []Mem) {
		p, g := v.load(m[0]), v.load(m[1])
		VFMADD231PS(p, decay, g)
		VFNMADD231PS(g, rate, p)
		VMOVUPS(p, m[0])
	})
}

func sgdMomentum(v vector) {
	v.function("sgdMomentum", "param, grad, m *float32, n int, s *SGDStep",
		"performs one step of SGD with momentum, in the direction ShareG·g + ShareM·m.")
	rate, decay := v.broadcast("s", "Rate"), v.broadcast("s", "WeightDecay")
	momentum := v.broadcast("s", "Momentum")
	shareG, shareM := v.broadcast("s", "ShareG"), v.broadcast("s", "ShareM")
	v.flat([]string{"param", "grad", "m"}, func(m []Mem) {
		p, g, velocity := v.load(m[0]), v.load(m[1]), v.load(m[2])
		VFMADD231PS(p, decay, g)
		VFMADD213PS(g, momentum, velocity)
		VMOVUPS(velocity, m[2])
		VMULPS(shareG, g, g)
		VFMADD231PS(velocity, shareM, g)
		VFNMADD231PS(g, rate, p)
		VMOVUPS(p, m[0])
	})
}

func ema(v vector) {
	v.function("ema", "average, param *float32, n int, s *EMAStep", "performs one step of a moving average.")
	rate := v.broadcast("s", "Rate")
	v.flat([]string{"average", "param"}, func(m []Mem) {
		a, p := v.load(m[0]), v.load(m[1])
		VSUBPS(a, p, p)
		VFMADD231PS(p, rate, a)
		VMOVUPS(a, m[0])
	})
}

func pause() {
	begin("pause", "", "tells the core that the caller is spinning.")
	PAUSE()
	RET()
}
