package model

// LayerSummary is one layer of a network, as the command summary lists it.
type LayerSummary struct {
	Name       string `json:"name"`         // that of its tensors; of a layer inside a residual block with the block's
	Kind       string `json:"kind"`         // its key in YAML
	Output     []int  `json:"output_shape"` // of one sample: height, width and channels, or elements
	Parameters int    `json:"parameters"`   // trainable
	FLOPs      int    `json:"flops"`        // per image in inference: of convolutions and fully connected layers, 2 per multiplication
}

// Summary lists the layers in order, a residual block after those inside it.
// The network must be valid ([Network.Check]).
func (n Network) Summary() ([]LayerSummary, error) {
	if err := n.Check(); err != nil {
		return nil, err
	}
	layers, err := n.named()
	if err != nil {
		return nil, err
	}
	list, _ := n.summarize(layers, n.Input)
	return list, nil
}

func (n Network) summarize(layers []namedLayer, in Shape) (list []LayerSummary, out Shape) {
	for _, l := range layers {
		out, _ = l.output(in, len(n.Classes)) // Check has found no error
		if l.body != nil {
			var inner []LayerSummary
			inner, out = n.summarize(l.body, in)
			list = append(list, inner...)
			inner, _ = n.summarize(l.shortcut, in)
			list = append(list, inner...)
		}
		s := LayerSummary{Name: l.name, Kind: l.kind(), Output: []int{out.H, out.W, out.C}}
		if out.Flat {
			s.Output = []int{out.Len()}
		}
		s.Parameters, s.FLOPs = n.cost(l.Layer, in, out)
		list = append(list, s)
		in = out
	}
	return list, in
}

// cost counts a layer's trainable parameters and its operations per image.
func (n Network) cost(l Layer, in, out Shape) (parameters, flops int) {
	switch l := l.(type) {
	case Conv:
		weights := l.Out * l.Kernel * l.Kernel * in.C
		flops = 2 * weights * out.H * out.W
		if l.NoBias {
			return weights, flops
		}
		return weights + l.Out, flops
	case Linear:
		weights := out.Len() * in.Len()
		if l.NoBias {
			return weights, 2 * weights
		}
		return weights + out.Len(), 2 * weights
	case BatchNorm:
		if in.Flat {
			return 2 * in.Len(), 0
		}
		return 2 * in.C, 0
	}
	return 0, 0
}
