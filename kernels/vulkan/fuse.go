//go:build cgo

package vulkan

import "github.com/fmnist-gpu/fmnist-gpu/kernels"

// An op joins the one before it if that op's dispatch can do its work on the way:
//
//	matrix product      + ReLU or its gradient, with or without dropout, in place
//	matrix product,     + sums of the gradient of batch-norm + ReLU + pool,
//	input gradient        whose last pass remains a dispatch of its own
//	narrow product      + cross-entropy of its result
//	Adam                + advance of its state
//
// All of that is decided here, from the two ops alone; the first op's lowering
// gets the op that joins, or nil.

// follower returns the op after the first of ops if it joins it, else nil.
func (l *lowering) follower(ops []kernels.Op) kernels.Op {
	if l.unfused || len(ops) < 2 || !l.joins(ops[0], ops[1]) {
		return nil
	}
	return ops[1]
}

// joins reports whether next joins op.
func (l *lowering) joins(op, next kernels.Op) bool {
	switch op := op.(type) {
	case kernels.GEMM:
		if narrow(op) {
			return l.lossJoins(op, next)
		}
		p := l.gemmProduct(op, next)
		return l.epilogueJoins(op, p, next) ||
			!op.Accumulate && op.RowSums.Absent() && l.gradientSumsJoin(op.C, p, next)
	case kernels.ConvBackwardInput:
		return l.gradientSumsJoin(op.DX, l.inputGradientProduct(op), next)
	case kernels.Adam:
		advance, ok := next.(kernels.AdvanceState)
		return ok && l.lastGroup && l.tensor(advance.State) == l.tensor(op.State)
	}
	return false
}

// epilogueJoins reports whether next is an element-wise op that reads and
// overwrites only the result of the product p, which is op.
func (l *lowering) epilogueJoins(op kernels.GEMM, p product, next kernels.Op) bool {
	if op.Accumulate || p.splits > 1 && !l.lastGroup {
		return false
	}
	inPlace := func(from, to kernels.Tensor) bool {
		return l.tensor(from) == l.tensor(op.C) && l.tensor(to) == l.tensor(op.C)
	}
	switch next := next.(type) {
	case kernels.ReLUForward:
		return inPlace(next.X, next.Y)
	case kernels.ReLUDropoutForward:
		return inPlace(next.X, next.Y)
	case kernels.ReLUBackward:
		return inPlace(next.DY, next.DX)
	case kernels.ReLUDropoutBackward:
		return inPlace(next.DY, next.DX)
	}
	return false
}

// gradientSumsJoin reports whether next is the gradient of a batch-norm to whose
// output's gradient the product p writes, and the tiles lie well for its sums.
func (l *lowering) gradientSumsJoin(result kernels.Tensor, p product, next kernels.Op) bool {
	op, ok := next.(kernels.BatchNormReLUPoolBackward)
	if !ok || !l.lastGroup || l.tensor(op.DY) != l.tensor(result) {
		return false
	}
	p.window = l.sumsWindow(next)
	return p.window%4 == 0 && p.inOneWindow()
}

// sumsWindow returns the columns over which the next op takes sums that a product may
// take along, 0 if it does not.
func (l *lowering) sumsWindow(next kernels.Op) int {
	op, ok := next.(kernels.BatchNormReLUPoolBackward)
	if !ok || !l.lastGroup {
		return 0
	}
	_, _, channels := planes(op.X)
	return channels
}

// lossJoins reports whether next is the cross-entropy of a narrow product.
func (l *lowering) lossJoins(op kernels.GEMM, next kernels.Op) bool {
	loss, ok := next.(kernels.SoftmaxCrossEntropy)
	if !ok || !l.lastGroup {
		return false
	}
	logits := l.tensor(op.C)
	inPlace := !loss.DLogits.Absent() && l.tensor(loss.DLogits).overlaps(logits)
	return l.tensor(loss.Logits) == logits && !inPlace
}
