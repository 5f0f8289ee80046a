//go:build cgo

package vulkan

import "github.com/fmnist-gpu/fmnist-gpu/kernels"

func (l *lowering) softmaxCrossEntropy(op kernels.SoftmaxCrossEntropy) {
	samples, classes := op.Logits.Shape[0], op.Logits.Shape[1]
	off := float64(op.Smoothing) / float64(classes)
	on := 1 - float64(op.Smoothing) + off

	// Without an output, the shader leaves its binding alone.
	loss := l.update(op.Loss)
	dlogits, probs, rows := loss, loss, 0
	if !op.DLogits.Absent() {
		dlogits = l.write(op.DLogits)
	}
	if !op.Probs.Absent() {
		probs, rows = l.update(op.Probs), op.Probs.Shape[0]
	}
	l.dispatch("softmax_cross_entropy", l.threads, 1, 1, constants(!op.DLogits.Absent(), !op.Probs.Absent()),
		pushed(samples, classes, op.Loss.Len(), rows, float32(on), float32(off)),
		l.read(op.Logits), l.read(op.Labels), l.read(op.State), loss, l.update(op.Correct), dlogits, probs)
}
