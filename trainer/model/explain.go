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
	// ScoreGrad (Explain, classes) is the gradient of the score with respect to
	// the logits, which the host writes: 1 at the class to explain, else 0.
	ScoreGrad kernels.Tensor
	// Features (Explain, H, W, C) is the output of the last block with a
	// convolution, FeatureGrads the gradient of the score with respect to it.
	Features, FeatureGrads kernels.Tensor
}

// HasFeatures reports whether the network has a convolution, so that it can be
// built with Explain.
func (n Network) HasFeatures() bool {
	layers, err := n.named()
	return err == nil && lastConv(join(layers)) >= 0
}

// lastConv returns the index of the last block with a convolution, or −1.
func lastConv(blocks sequence) int {
	for i := len(blocks) - 1; i >= 0; i-- {
		switch b := blocks[i].(type) {
		case *convBlock, *convNormBlock, *convNormReLUPoolBlock:
			return i
		case *residualBlock:
			if lastConv(b.body) >= 0 || lastConv(b.shortcut) >= 0 {
				return i
			}
		}
	}
	return -1
}

func (n *Net) writeExplain(batch int) error {
	last := lastConv(n.blocks)
	if last < 0 || batch > n.Config.EvalImages {
		return fmt.Errorf("network %s, built for %d evaluation images, cannot explain %d", n.Config.Network.Name, n.Config.EvalImages, batch)
	}
	s := &section{Net: n, Section: n.Plan.Section(ExplainSection), batch: batch, gradients: true, state: n.Eval.State}
	x, _ := s.gather(n.Eval)
	features := n.blocks[:last+1].forward(s, value{x, true})
	features.shared = true
	n.Explained.Features = features.Tensor
	logits := n.blocks[last+1:].forward(s, features)
	n.Explained.ScoreGrad = n.Plan.Tensor("score.grad", kernels.Float32, logits.Shape...)
	n.Explained.FeatureGrads = n.blocks[last+1:].backward(s, value{n.Explained.ScoreGrad, false}, true).Tensor
	return nil
}
