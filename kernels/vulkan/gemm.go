//go:build cgo

package vulkan

import "github.com/fmnist-gpu/fmnist-gpu/kernels"

// gemm lowers a matrix product, with the element-wise op after it if that works
// in place on the product. It returns the number of ops lowered.
func (l *lowering) gemm(op kernels.GEMM, rest []kernels.Op) int {
	if narrow(op) {
		return l.gemmNarrow(op, rest)
	}
	m, n, k := op.MNK()
	p := l.plan("gemm"+transposes(op), m, n, k)
	e, taken := l.epilogueOf(op, p, rest)
	state, output := l.readOr(e.state, op.A), l.readOr(e.output, op.A)
	var next []kernels.Op // whose sums the product could compute
	if taken == 1 && !op.Accumulate && op.RowSums.Absent() {
		next = rest
	}
	sums := l.gradientSumsOf(op.C, p, next)
	l.multiply(multiplication{product: p, shader: "gemm",
		own:    append(constants(op.TransA, op.TransB, op.A.Dim(-1)%4 == 0, op.B.Dim(-1)%4 == 0, int(e.kind)), sums.constants...),
		inputs: []arg{l.read(op.A), l.read(op.B), l.readOr(op.Bias, op.A)}, extra: append([]arg{state, output}, sums.args...),
		push: func(withBias, accumulate bool) []byte {
			return pushed(m, n, k, p.splitK, flag(withBias), flag(accumulate), e.threshold, e.layer, e.scale)
		},
		c: op.C, bias: op.Bias, accumulate: op.Accumulate, rowSums: op.RowSums, hasRowSums: true, counters: sums.counters})
	return taken + l.finish(sums)
}

// transposes names the operands that are stored transposed: "NT" for B.
func transposes(op kernels.GEMM) string {
	letter := map[bool]string{false: "N", true: "T"}
	return letter[op.TransA] + letter[op.TransB]
}

// epilogue is an element-wise op on the result of a product; gemm.comp defines
// the same kinds.
type epilogue struct {
	kind             int
	state, output    kernels.Tensor // state: for dropout; output: the forward op's, for a backward op
	threshold, layer uint32
	scale            float32
}

const (
	epilogueNone = iota
	epilogueReLU
	epilogueReLUDropout
	epilogueReLUBackward
)

// epilogueOf returns the element-wise op that joins the product (the next op, if
// it reads and overwrites only C) and the number of ops that the dispatch covers.
func (l *lowering) epilogueOf(op kernels.GEMM, p product, rest []kernels.Op) (e epilogue, taken int) {
	if op.Accumulate || len(rest) == 0 || (p.splits > 1 && !l.lastGroup) {
		return epilogue{}, 1
	}
	inPlace := func(from, to kernels.Tensor) bool {
		return l.tensor(from) == l.tensor(op.C) && l.tensor(to) == l.tensor(op.C)
	}
	switch next := rest[0].(type) {
	case kernels.ReLUForward:
		if inPlace(next.X, next.Y) {
			return epilogue{kind: epilogueReLU}, 2
		}
	case kernels.ReLUDropoutForward:
		if inPlace(next.X, next.Y) {
			return epilogue{kind: epilogueReLUDropout, state: next.State, threshold: kernels.DropoutThreshold(next.P),
				layer: next.Layer, scale: keptScale(next.P)}, 2
		}
	case kernels.ReLUBackward:
		if inPlace(next.DY, next.DX) {
			return epilogue{kind: epilogueReLUBackward, output: next.Y, scale: 1}, 2
		}
	case kernels.ReLUDropoutBackward:
		if inPlace(next.DY, next.DX) {
			return epilogue{kind: epilogueReLUBackward, output: next.Y, scale: keptScale(next.P)}, 2
		}
	}
	return epilogue{}, 1
}
