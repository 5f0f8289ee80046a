//go:build cgo

package vulkan

import "github.com/fmnist-gpu/fmnist-gpu/kernels"

// lossOperands are the operands that all shaders with a cross-entropy share.
type lossOperands struct {
	constants []uint32 // flags: gradient, probabilities
	push      []byte
	args      []arg // labels, state, loss, correct, gradient, probabilities
}

func (l *lowering) crossEntropy(op kernels.SoftmaxCrossEntropy) lossOperands {
	samples, classes := op.Logits.Shape[0], op.Logits.Shape[1]
	off := float64(op.Smoothing) / float64(classes)
	on := 1 - float64(op.Smoothing) + off

	// The shader does not access the binding of an absent output.
	loss := l.update(op.Loss)
	dlogits, probs, rows := loss, loss, 0
	if !op.DLogits.Absent() {
		dlogits = l.write(op.DLogits)
	}
	if !op.Probs.Absent() {
		probs, rows = l.update(op.Probs), op.Probs.Shape[0]
	}
	return lossOperands{constants: constants(!op.DLogits.Absent(), !op.Probs.Absent()),
		push: pushed(samples, classes, op.Loss.Len(), rows, float32(on), float32(off)),
		args: []arg{l.read(op.Labels), l.read(op.State), loss, l.update(op.Correct), dlogits, probs}}
}

func (l *lowering) softmaxCrossEntropy(op kernels.SoftmaxCrossEntropy) {
	o := l.crossEntropy(op)
	l.dispatch("softmax_cross_entropy", l.threads, 1, 1, o.constants, o.push, append([]arg{l.read(op.Logits)}, o.args...)...)
}
