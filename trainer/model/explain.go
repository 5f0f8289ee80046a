package model

import (
	"fmt"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// ExplainSection names the section that explains [Config].Explain
// classifications: it classifies the first images of Eval.Order as in an
// evaluation, and propagates the gradient of a score back to the features of the
// last convolution.
const ExplainSection = "explain"

// Explained is what a class activation map needs of a network.
type Explained struct {
	// ScoreGrad (Explain, 10) is the gradient of the score with respect to the
	// logits, which the host writes: 1 at the class to explain, else 0.
	ScoreGrad kernels.Tensor
	// Features (Explain, H, W, C) is the output of the last block with a
	// convolution, FeatureGrads the gradient of the score with respect to it.
	Features, FeatureGrads kernels.Tensor
}

// HasFeatures reports whether the named network has a convolution, so that it
// can be built with Explain.
func HasFeatures(name string) bool {
	layers, ok := architectures[name]
	return ok && lastConv(layers(Config{})) >= 0
}

// lastConv returns the index of the last block with a convolution, or −1.
func lastConv(layers []layer) int {
	for i := len(layers) - 1; i >= 0; i-- {
		if _, ok := layers[i].(*convBlock); ok {
			return i
		}
	}
	return -1
}

func (n *Net) writeExplain(batch int) error {
	last := lastConv(n.layers)
	if last < 0 || batch > n.Config.EvalImages {
		return fmt.Errorf("model %s, built for %d evaluation images, cannot explain %d", n.Config.Model, n.Config.EvalImages, batch)
	}
	s := &section{Net: n, Section: n.Plan.Section(ExplainSection), batch: batch, state: n.Eval.State}
	x, _ := s.gather(n.Eval)
	for i, l := range n.layers {
		x = l.forward(s, x)
		if i == last {
			n.Explained.Features = x
		}
	}
	n.Explained.ScoreGrad = n.Plan.Tensor("score.grad", kernels.Float32, batch, Classes)
	d := n.Explained.ScoreGrad
	for i := len(n.layers) - 1; i > last; i-- {
		d = n.layers[i].backward(s, d, true)
	}
	n.Explained.FeatureGrads = d
	return nil
}
