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
	nodes, err := n.Nodes()
	if err != nil {
		return nil, err
	}
	return summarize(nodes), nil
}

func summarize(nodes []Node) (list []LayerSummary) {
	for _, node := range nodes {
		list = append(list, summarize(node.Body)...)
		list = append(list, summarize(node.Shortcut)...)
		s := LayerSummary{Name: node.Name, Kind: node.Layer.kind(), Output: []int{node.Out.H, node.Out.W, node.Out.C}}
		if node.Out.Flat {
			s.Output = []int{node.Out.Len()}
		}
		s.Parameters, s.FLOPs = cost(node.Layer, node.In, node.Out)
		list = append(list, s)
	}
	return list
}

// cost counts a layer's trainable parameters and its operations per image.
func cost(l Layer, in, out Shape) (parameters, flops int) {
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

// operations counts a layer's operations per image that grow with its windows:
// multiplications with their additions, and in pools the values that each window reads.
func operations(l Layer, in, out Shape) int64 {
	switch l := l.(type) {
	case MaxPool:
		return int64(l.Kernel*l.Kernel) * int64(out.Len())
	case AvgPool:
		if l.Kernel == 0 {
			return int64(in.Len())
		}
		return int64(l.Kernel*l.Kernel) * int64(out.Len())
	}
	_, flops := cost(l, in, out)
	return int64(flops / 2)
}
