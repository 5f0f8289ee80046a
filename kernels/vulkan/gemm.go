//go:build cgo

package vulkan

import (
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/shaders"
)

// gemm lowers a matrix product, with the op that joins it.
func (l *lowering) gemm(op kernels.GEMM, joined kernels.Op) {
	if narrow(op) {
		l.gemmNarrow(op, joined)
		return
	}
	p, e := l.gemmProduct(op, joined), epilogueOf(joined)
	sums := l.gradientSumsOf(p, joined)
	l.multiply(multiplication{product: p, c: op.C, bias: op.Bias, accumulate: op.Accumulate, mixed: mixed(op), rowSums: op.RowSums, counters: sums.counters,
		call: func(s shared) shaders.Call[arg] {
			return shaders.GEMM(shaders.GEMMSpec{MatrixTileSpec: s.tile, TransA: op.TransA, TransB: op.TransB,
				VectorA: op.A.Dim(-1)%4 == 0, VectorB: op.B.Dim(-1)%4 == 0, Epilogue: e.kind, MatrixGradientSumsSpec: sums.spec},
				shaders.GEMMPush{M: p.m, N: p.n, K: p.k, SplitK: p.splitK, WithBias: flag(s.withBias), Accumulate: flag(s.accumulate),
					Threshold: e.threshold, Layer: e.layer, Scale: e.scale},
				shaders.GEMMBuffers[arg]{A: l.read(op.A), B: l.read(op.B), Bias: s.bias, C: s.result, Parts: s.parts,
					Counters: s.counters, RowParts: s.rowParts, RowSums: s.rowSums, State: l.readIf(e.state),
					Output: l.readIf(e.output), MatrixGradientSumsBuffers: sums.buffers})
		}})
	l.finish(sums)
}

// gemmProduct plans a matrix product that is not narrow, before an op that may join it.
func (l *lowering) gemmProduct(op kernels.GEMM, next kernels.Op) product {
	m, n, k := op.MNK()
	return l.plan("gemm"+transposes(op), product{m: m, n: n, k: k, window: l.sumsWindow(next)}, op.Precision)
}

// mixed reports whether an op is in mixed precision.
func mixed(op kernels.Op) bool { return kernels.PrecisionOf(op) == kernels.Mixed }

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
	threshold, layer int
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
		return epilogue{kind: epilogueReLUDropout, state: op.State, threshold: int(kernels.DropoutThreshold(op.P)),
			layer: int(op.Layer), scale: keptScale(op.P)}
	case kernels.ReLUBackward:
		return epilogue{kind: epilogueReLUBackward, output: op.Y, scale: 1}
	case kernels.ReLUDropoutBackward:
		return epilogue{kind: epilogueReLUBackward, output: op.Y, scale: keptScale(op.P)}
	}
	return epilogue{}
}
