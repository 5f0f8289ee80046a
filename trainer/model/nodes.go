package model

// Node is a layer in its place in a network.
type Node struct {
	Layer   Layer  // with its stride written out, and the units of a [Linear]
	Name    string // of its tensors, such as "block1.conv2"; layers without tensors have one, too
	In, Out Shape  // of one sample
	// The layers inside a [Residual].
	Body, Shortcut []Node
}

// Nodes lists the layers in order, for code that writes the network in other terms.
// The error is that of [Network.Check].
func (n Network) Nodes() ([]Node, error) {
	if err := n.Check(); err != nil {
		return nil, err
	}
	layers, err := n.named()
	if err != nil {
		return nil, err
	}
	return n.nodes(layers, n.Input), nil
}

// nodes follows the shapes as Check does, which has found no error.
func (n Network) nodes(layers []namedLayer, in Shape) []Node {
	var list []Node
	for _, l := range layers {
		node := Node{Layer: l.Layer, Name: l.name, In: in}
		node.Out, _ = l.output(in, len(n.Classes))
		switch layer := l.Layer.(type) {
		case Conv:
			layer.Stride = strideOf(layer.Stride, 1)
			node.Layer = layer
		case MaxPool:
			layer.Stride = strideOf(layer.Stride, layer.Kernel)
			node.Layer = layer
		case AvgPool:
			layer.Stride = strideOf(layer.Stride, layer.Kernel)
			node.Layer = layer
		case Linear:
			layer.Out = layer.units(len(n.Classes))
			node.Layer = layer
		case Residual:
			node.Body, node.Shortcut = n.nodes(l.body, in), n.nodes(l.shortcut, in)
			node.Out = node.Body[len(node.Body)-1].Out
		}
		list = append(list, node)
		in = node.Out
	}
	return list
}
