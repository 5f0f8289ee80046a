package model

import (
	"fmt"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// TraceSection names the section that classifies the first [Config].Trace images of
// Eval.Order and keeps what each block of layers computes.
const TraceSection = "trace"

// Traced is the output of neighbouring layers that are computed together.
type Traced struct {
	Layers []string       // names of the layers
	Output kernels.Tensor // (Trace, H, W, C) or (Trace, units)
}

// writeTrace writes TraceSection. Layers that change nothing in an evaluation,
// such as dropout, have no output of their own.
func (n *Net) writeTrace(batch int) error {
	if batch > n.Config.EvalImages {
		return fmt.Errorf("network %s, built for %d evaluation images, cannot trace %d", n.Config.Network.Name, n.Config.EvalImages, batch)
	}
	layers, err := n.Config.Network.named()
	if err != nil {
		return err
	}
	s := &section{Net: n, Section: n.Plan.Section(TraceSection), batch: batch, state: n.Eval.State}
	x, _ := s.gather(n.Eval)
	v := value{x, true}
	for _, b := range n.blocks {
		taken := 1
		if !n.plain {
			_, taken = joinFirst(layers)
		}
		before := v.Buffer
		v = b.forward(s, v)
		v.shared = true // the next op must not overwrite it
		if v.Buffer != before {
			t := Traced{Output: v.Tensor}
			for _, l := range layers[:taken] {
				t.Layers = append(t.Layers, l.name)
			}
			n.Traced = append(n.Traced, t)
		}
		layers = layers[taken:]
	}
	return nil
}
