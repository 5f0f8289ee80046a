package export

import (
	"math"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/export/internal/onnxpb"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/model"
)

// layers writes layers one after the other, and returns the name of their result. A
// network in use has no dropout.
func (g *graph) layers(nodes []model.Node, x string) string {
	for len(nodes) > 0 {
		node, rest := nodes[0], nodes[1:]
		if _, ok := node.Layer.(model.Dropout); ok {
			nodes = rest
			continue
		}
		for norm, after := g.foldable(node, rest); norm != nil; norm, after = g.foldable(node, rest) {
			g.foldInto(node, norm.Name)
			rest = after
		}
		x = g.layer(node, x)
		g.ValueInfo = append(g.ValueInfo, valueInfo(x, onnxpb.TensorProto_FLOAT, shapeOf(node.Out), ""))
		nodes = rest
	}
	return x
}

// layer writes one layer.
func (g *graph) layer(node model.Node, x string) string {
	switch l := node.Layer.(type) {
	case model.Conv:
		inputs := g.weighted(node.Name, x, l.Out, node.In.C, l.Kernel, l.Kernel)
		return g.add(node.Name, "Conv", inputs, window(l.Kernel, l.Stride, integers("pads", l.Padding, l.Padding, l.Padding, l.Padding))...)
	case model.Linear:
		return g.add(node.Name, "Gemm", g.weighted(node.Name, x, l.Out, node.In.Len()), integer("transB", 1))
	case model.BatchNorm:
		return g.batchNorm(node, x)
	case model.Activation:
		return g.activation(node.Name, l.Function, x)
	case model.MaxPool:
		return g.add(node.Name, "MaxPool", []string{x}, window(l.Kernel, l.Stride)...)
	case model.AvgPool:
		if l.Kernel == 0 {
			return g.add(node.Name, "GlobalAveragePool", []string{x})
		}
		return g.add(node.Name, "AveragePool", []string{x}, window(l.Kernel, l.Stride)...)
	case model.Flatten:
		return g.add(node.Name, "Flatten", []string{x}) // (N, C, H, W) to (N, C·H·W)
	case model.Residual:
		body := g.layers(node.Body, x)
		return g.add(node.Name, "Add", []string{body, g.layers(node.Shortcut, x)})
	}
	panic("export: a layer that package model does not have")
}

// window returns the attributes of a square window, and more of them.
func window(kernel, stride int, more ...*onnxpb.AttributeProto) []*onnxpb.AttributeProto {
	return append([]*onnxpb.AttributeProto{integers("kernel_shape", kernel, kernel), integers("strides", stride, stride)}, more...)
}

// weighted returns the inputs of a layer with a weight of the given shape, output
// channels first, and perhaps a bias.
func (g *graph) weighted(name, x string, shape ...int) []string {
	inputs := []string{x, g.weight(name+".weight", shape...)}
	if _, ok := g.weights[name+".bias"]; ok {
		inputs = append(inputs, g.weight(name+".bias", shape[0]))
	}
	return inputs
}

func (g *graph) batchNorm(node model.Node, x string) string {
	inputs := []string{x}
	for _, part := range normTensors {
		inputs = append(inputs, g.weight(node.Name+part, shapeOf(node.In)[0]))
	}
	return g.add(node.Name, "BatchNormalization", inputs, float("epsilon", model.BatchNormEps))
}

// normTensors are the ends of the names of a batch-norm's tensors, in ONNX's order.
var normTensors = []string{".weight", ".bias", ".running_mean", ".running_var"}

// activation writes an element-wise function. Opset 17 has no op for GELU and SiLU.
// They are written as PyTorch writes them, which runtimes recognise and fuse.
func (g *graph) activation(name string, f model.Function, x string) string {
	switch f {
	case model.GELU: // x·(1 + erf(x/√2))·½
		y := g.add(name+"/divide", "Div", []string{x, g.constant("constant/sqrt2", []float32{math.Sqrt2})})
		y = g.add(name+"/erf", "Erf", []string{y})
		y = g.add(name+"/add", "Add", []string{y, g.constant("constant/1", []float32{1})})
		y = g.add(name+"/multiply", "Mul", []string{x, y})
		return g.add(name, "Mul", []string{y, g.constant("constant/half", []float32{.5})})
	case model.SiLU: // x·σ(x)
		return g.add(name, "Mul", []string{x, g.add(name+"/sigmoid", "Sigmoid", []string{x})})
	default:
		return g.add(name, "Relu", []string{x})
	}
}

// foldable returns the batch-norm that the layer takes in, and the layers after it; nil
// if there is none.
func (g *graph) foldable(node model.Node, rest []model.Node) (norm *model.Node, after []model.Node) {
	switch node.Layer.(type) {
	case model.Conv, model.Linear:
	default:
		return nil, nil
	}
	for g.fold && len(rest) > 0 {
		switch rest[0].Layer.(type) {
		case model.Dropout:
			rest = rest[1:]
		case model.BatchNorm:
			return &rest[0], rest[1:]
		default:
			return nil, nil
		}
	}
	return nil, nil
}

// foldInto changes the weights of a layer so that it computes the batch-norm, too. The
// layer has a bias afterwards.
func (g *graph) foldInto(node model.Node, norm string) {
	weight, bias := g.weights[node.Name+".weight"], g.weights[node.Name+".bias"]
	gamma, beta := g.weights[norm+".weight"], g.weights[norm+".bias"]
	mean, variance := g.weights[norm+".running_mean"], g.weights[norm+".running_var"]
	foldedWeight, foldedBias := make([]float32, len(weight)), make([]float32, len(gamma))
	perOutput := len(weight) / len(gamma)
	for o := range gamma {
		scale := float64(gamma[o]) / math.Sqrt(float64(variance[o])+model.BatchNormEps)
		b := 0.
		if bias != nil {
			b = float64(bias[o])
		}
		foldedBias[o] = float32((b-float64(mean[o]))*scale + float64(beta[o]))
		for i := o * perOutput; i < (o+1)*perOutput; i++ {
			foldedWeight[i] = float32(float64(weight[i]) * scale)
		}
	}
	g.weights[node.Name+".weight"], g.weights[node.Name+".bias"] = foldedWeight, foldedBias
}
