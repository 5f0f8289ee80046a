//go:build cgo

package vulkan

import (
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/shaders"
)

func (l *lowering) softmaxCrossEntropy(op kernels.SoftmaxCrossEntropy) {
	l.dispatch(l.threads, 1, 1, shaders.SoftmaxCrossEntropy(lossSpec(op), lossPush(op), l.lossBuffers(op)))
}

func lossSpec(op kernels.SoftmaxCrossEntropy) shaders.SoftmaxCrossEntropySpec {
	return shaders.SoftmaxCrossEntropySpec{WithDLogits: !op.DLogits.Absent(), WithProbs: !op.Probs.Absent()}
}

func lossPush(op kernels.SoftmaxCrossEntropy) shaders.SoftmaxCrossEntropyPush {
	samples, classes := op.Logits.Shape[0], op.Logits.Shape[1]
	off := float64(op.Smoothing) / float64(classes)
	rows := 0
	if !op.Probs.Absent() {
		rows = op.Probs.Shape[0]
	}
	return shaders.SoftmaxCrossEntropyPush{Samples: samples, Classes: classes, Slots: op.Loss.Len(), ProbRows: rows,
		On: float32(1 - float64(op.Smoothing) + off), Off: float32(off)}
}

func (l *lowering) lossBuffers(op kernels.SoftmaxCrossEntropy) shaders.SoftmaxCrossEntropyBuffers[arg] {
	b := shaders.SoftmaxCrossEntropyBuffers[arg]{Logits: l.read(op.Logits), Labels: l.read(op.Labels), State: l.read(op.State),
		Loss: l.update(op.Loss), Correct: l.update(op.Correct), DLogits: arg{}, Probs: arg{}}
	if !op.DLogits.Absent() {
		b.DLogits = l.write(op.DLogits)
	}
	if !op.Probs.Absent() {
		b.Probs = l.update(op.Probs)
	}
	return b
}
