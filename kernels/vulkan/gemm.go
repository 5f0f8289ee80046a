//go:build cgo

package vulkan

import "github.com/fmnist-gpu/fmnist-gpu/kernels"

// gemm lowers a matrix product, with the op that joins it.
func (l *lowering) gemm(op kernels.GEMM, joined kernels.Op) {
	if narrow(op) {
		l.gemmNarrow(op, joined)
		return
	}
	p, e := l.gemmProduct(op), epilogueOf(joined)
	state, output := l.readOr(e.state, op.A), l.readOr(e.output, op.A)
	sums := l.gradientSumsOf(op.C, p, joined)
	l.multiply(multiplication{product: p, shader: "gemm",
		own:    append(constants(op.TransA, op.TransB, op.A.Dim(-1)%4 == 0, op.B.Dim(-1)%4 == 0, int(e.kind)), sums.constants...),
		inputs: []arg{l.read(op.A), l.read(op.B), l.readOr(op.Bias, op.A)}, extra: append([]arg{state, output}, sums.args...),
		push: func(withBias, accumulate bool) []byte {
			return pushed(p.m, p.n, p.k, p.splitK, flag(withBias), flag(accumulate), e.threshold, e.layer, e.scale)
		},
		c: op.C, bias: op.Bias, accumulate: op.Accumulate, rowSums: op.RowSums, hasRowSums: true, counters: sums.counters})
	l.finish(sums)
}

// gemmProduct plans a matrix product that is not narrow.
func (l *lowering) gemmProduct(op kernels.GEMM) product {
	m, n, k := op.MNK()
	return l.plan("gemm"+transposes(op), m, n, k)
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

// epilogueOf returns the parameters of an element-wise op that joins a product,
// those of no epilogue for other ops.
func epilogueOf(joined kernels.Op) epilogue {
	switch op := joined.(type) {
	case kernels.ReLUForward:
		return epilogue{kind: epilogueReLU}
	case kernels.ReLUDropoutForward:
		return epilogue{kind: epilogueReLUDropout, state: op.State, threshold: kernels.DropoutThreshold(op.P),
			layer: op.Layer, scale: keptScale(op.P)}
	case kernels.ReLUBackward:
		return epilogue{kind: epilogueReLUBackward, output: op.Y, scale: 1}
	case kernels.ReLUDropoutBackward:
		return epilogue{kind: epilogueReLUBackward, output: op.Y, scale: keptScale(op.P)}
	}
	return epilogue{}
}
