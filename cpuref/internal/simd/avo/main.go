// Command avo generates the inner loops of package simd, except arm64's tile. Run it with
// "go generate" in the package's folder.
package main

import (
	"flag"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/pass"
	"github.com/mmcloughlin/avo/reg"

	_ "github.com/fmnist-gpu/fmnist-gpu/cpuref/internal/simd" // its structs' layouts
)

func main() {
	arm64 := flag.Bool("arm64", false, "generate for arm64")
	Package("github.com/fmnist-gpu/fmnist-gpu/cpuref/internal/simd")
	flag.Parse() // empties the output, which is part of that package
	if *arm64 {
		ConstraintExpr("arm64,!noasm")
		passes(neon)
		copyPanel(neon, 16)
		transpose4(neon)
		pass.Compile = pass.Concat(pass.Compile, pass.FunctionPass(toNEON))
	} else {
		ConstraintExpr("amd64,!noasm")
		tilesAVX512()
		tilesAMX()
		for _, v := range []vector{sse, avx2} {
			tiles(v)
		}
		for _, v := range []vector{avx2, avx512} {
			poolTiles(v)
		}
		for _, v := range []vector{sse, avx2, avx512} {
			passes(v)
		}
		copyPanel(sse, 8)
		copyPanel(avx2, 16)
		copyPanel(avx512, 32)
		pair()
		pairRows()
		transpose4(sse)
		transpose8()
		pause()
		pass.Compile = pass.Concat(pass.FunctionPass(toSSE), pass.Compile, pass.FunctionPass(pruneCopies))
	}
	Generate()
}

// passes generates everything but the tiles.
func passes(v vector) {
	add(v)
	reluForward(v)
	reluBackward(v)
	adam(v)
	sgd(v)
	sgdMomentum(v)
	ema(v)
	columnSum(v)
	columnSquares(v)
	columnDots(v)
	normalize(v)
	normalizeBackward(v)
	conv3x3Row(v)
	conv3x3Pool(v)
	conv3x3Weight(v)
	maxPool(v, true)
	maxPool(v, false)
	maxPoolBackward(v)
	if v.lanes > 4 { // of a training step in SSE, portable dropout takes 0.2 %
		dropout(v)
		geluForward(v)
		geluBackward(v)
		siluForward(v)
		siluBackward(v)
	}
	normalizeReLU(v)
	reluDots(v)
	normalizeReLUBackward(v)
	normalizeReLUPool(v, true)
	normalizeReLUPool(v, false)
	reluPoolDots(v)
	reluPoolBackward(v)
	winograd(v, 2, 3)
	winograd(v, 4, 3)
	winograd(v, 2, 5)
	winograd(v, 4, 5)
}

// vector is a width of vector registers.
type vector struct {
	suffix    string
	lanes     int
	registers int
	new       func() reg.VecVirtual
}

var (
	sse    = vector{"SSE", 4, 16, XMM}
	neon   = vector{"NEON", 4, 16, XMM}
	avx2   = vector{"AVX2", 8, 16, YMM}
	avx512 = vector{"AVX512", 16, 32, ZMM}
)

// bytes returns the width of a register in bytes.
func (v vector) bytes() int { return 4 * v.lanes }

// several returns n new registers.
func (v vector) several(n int) []reg.VecVirtual {
	r := make([]reg.VecVirtual, n)
	for i := range r {
		r[i] = v.new()
	}
	return r
}

// function begins a function with the given name, plus the suffix, and
// parameters.
func (v vector) function(name, parameters, doc string) {
	begin(name+v.suffix, parameters, doc)
}

func begin(name, parameters, doc string) {
	TEXT(name, NOSPLIT, "func("+parameters+")")
	Doc(name + " " + doc)
	Pragma("noescape")
}

// param loads a parameter of the function.
func param(name string) reg.GPVirtual {
	r := GP64()
	Load(Param(name), r)
	return r
}

// field loads a field of the struct that a pointer parameter points to.
func field(parameter, name string) reg.GPVirtual {
	r := GP64()
	Load(Dereference(Param(parameter)).Field(name), r)
	return r
}

// bytesOf converts a number of elements in r to bytes.
func bytesOf(r reg.GPVirtual) reg.GPVirtual {
	SHLQ(Imm(2), r)
	return r
}

// at is the memory offset bytes after the address in r.
func at(r reg.Register, offset int) Mem { return Mem{Base: r, Disp: offset} }

// loop runs body n times; n must not be 0.
func loop(label string, n reg.GPVirtual, body func()) {
	Label(label)
	body()
	DECQ(n)
	JNZ(LabelRef(label))
}
