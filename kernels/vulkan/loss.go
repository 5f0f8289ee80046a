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
	return shaders.SoftmaxCrossEntropySpec{WithDLogits: !op.DLogits.Absent(), WithProbs: !op.Probs.Absent(), WithSampleLosses: !op.SampleLosses.Absent()}
}

func lossPush(op kernels.SoftmaxCrossEntropy) shaders.SoftmaxCrossEntropyPush {
	samples, classes := op.Logits.Shape[0], op.Logits.Shape[1]
	off := float64(op.Smoothing) / float64(classes)
	probRows, sampleRows := 0, 0
	if !op.Probs.Absent() {
		probRows = op.Probs.Shape[0]
	}
	if !op.SampleLosses.Absent() {
		sampleRows = op.SampleLosses.Len()
	}
	return shaders.SoftmaxCrossEntropyPush{Samples: samples, Classes: classes, Slots: op.Loss.Len(), ProbRows: probRows, SampleRows: sampleRows,
		On: float32(1 - float64(op.Smoothing) + off), Off: float32(off)}
}

func (l *lowering) lossBuffers(op kernels.SoftmaxCrossEntropy) shaders.SoftmaxCrossEntropyBuffers[arg] {
	b := shaders.SoftmaxCrossEntropyBuffers[arg]{Logits: l.read(op.Logits), Labels: l.read(op.Labels), State: l.read(op.State),
		Loss: l.update(op.Loss), Correct: l.update(op.Correct), DLogits: arg{}, Probs: arg{}, SampleLosses: arg{}}
	if !op.DLogits.Absent() {
		b.DLogits = l.write(op.DLogits)
	}
	if !op.Probs.Absent() {
		b.Probs = l.update(op.Probs)
	}
	if !op.SampleLosses.Absent() {
		b.SampleLosses = l.update(op.SampleLosses)
	}
	return b
}
