package export

import (
	"encoding/binary"
	"math"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/export/internal/onnxpb"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/model"
)

// graph is an ONNX graph that is being written.
type graph struct {
	*onnxpb.GraphProto
	weights map[string][]float32 // by PyTorch's name, in its layout
	fold    bool
}

// weightsOf returns the model's float32 tensors.
func weightsOf(m *trainer.Model) map[string][]float32 {
	weights := map[string][]float32{}
	for _, t := range m.Tensors() {
		if t.Data != nil {
			weights[t.Name] = t.Data
		}
	}
	return weights
}

// add writes an operator and returns the name of its result.
func (g *graph) add(name, op string, inputs []string, attributes ...*onnxpb.AttributeProto) string {
	y := name + "/output"
	g.Node = append(g.Node, &onnxpb.NodeProto{Name: proto.String(name), OpType: proto.String(op),
		Input: inputs, Output: []string{y}, Attribute: attributes})
	return y
}

// nameLast gives the last operator's result, which nothing reads yet, another name.
func (g *graph) nameLast(name string) {
	g.Node[len(g.Node)-1].Output[0] = name
	g.ValueInfo = g.ValueInfo[:len(g.ValueInfo)-1] // the outputs describe it
}

// constant writes a tensor, and returns its name. One of that name that is there
// already is used again.
func (g *graph) constant(name string, data []float32, shape ...int) string {
	for _, t := range g.Initializer {
		if t.GetName() == name {
			return name
		}
	}
	t := &onnxpb.TensorProto{Name: proto.String(name), DataType: proto.Int32(int32(onnxpb.TensorProto_FLOAT)),
		RawData: make([]byte, 0, 4*len(data)), Dims: int64s(shape)}
	for _, x := range data {
		t.RawData = binary.LittleEndian.AppendUint32(t.RawData, math.Float32bits(x))
	}
	g.Initializer = append(g.Initializer, t)
	return name
}

// weight writes a tensor of the model.
func (g *graph) weight(name string, shape ...int) string {
	return g.constant(name, g.weights[name], shape...)
}

// normalize writes the normalisation of images x (N, H, W, C) of bytes, and returns
// (N, C, H, W). Its steps and their rounding are those of [model.Normalization.Table].
func (g *graph) normalize(x string, n model.Normalization) string {
	perChannel := func(values []float64) (data []float32) {
		for _, v := range values {
			data = append(data, float32(v))
		}
		return data
	}
	channels := len(n.Mean)
	x = g.add("normalization/transpose", "Transpose", []string{x}, integers("perm", 0, 3, 1, 2))
	x = g.add("normalization/cast", "Cast", []string{x}, integer("to", int(onnxpb.TensorProto_FLOAT)))
	x = g.add("normalization/scale", "Div", []string{x, g.constant("constant/255", []float32{255})})
	x = g.add("normalization/centre", "Sub", []string{x, g.constant("normalization/mean", perChannel(n.Mean), channels, 1, 1)})
	return g.add("normalization/divide", "Div", []string{x, g.constant("normalization/std", perChannel(n.Std), channels, 1, 1)})
}

// shapeOf returns the shape of one sample as in PyTorch: channels first.
func shapeOf(s model.Shape) []int {
	if s.Flat {
		return []int{s.Len()}
	}
	return []int{s.C, s.H, s.W}
}

// valueInfo describes a tensor with any number of samples of a shape.
func valueInfo(name string, t onnxpb.TensorProto_DataType, shape []int, doc string) *onnxpb.ValueInfoProto {
	dims := []*onnxpb.TensorShapeProto_Dimension{{Value: &onnxpb.TensorShapeProto_Dimension_DimParam{DimParam: "batch"}}}
	for _, d := range shape {
		dims = append(dims, &onnxpb.TensorShapeProto_Dimension{Value: &onnxpb.TensorShapeProto_Dimension_DimValue{DimValue: int64(d)}})
	}
	v := &onnxpb.ValueInfoProto{Name: proto.String(name), Type: &onnxpb.TypeProto{Value: &onnxpb.TypeProto_TensorType{
		TensorType: &onnxpb.TypeProto_Tensor{ElemType: proto.Int32(int32(t)), Shape: &onnxpb.TensorShapeProto{Dim: dims}}}}}
	if doc != "" {
		v.DocString = proto.String(doc)
	}
	return v
}

// text is a string of a file's user, such as a class, which protobuf wants in UTF-8.
func text(s string) *string { return proto.String(strings.ToValidUTF8(s, "\uFFFD")) }

// integer, integers and float are attributes of an operator.

func integer(name string, value int) *onnxpb.AttributeProto {
	return &onnxpb.AttributeProto{Name: proto.String(name), Type: onnxpb.AttributeProto_INT.Enum(), I: proto.Int64(int64(value))}
}

func integers(name string, values ...int) *onnxpb.AttributeProto {
	return &onnxpb.AttributeProto{Name: proto.String(name), Type: onnxpb.AttributeProto_INTS.Enum(), Ints: int64s(values)}
}

func float(name string, value float32) *onnxpb.AttributeProto {
	return &onnxpb.AttributeProto{Name: proto.String(name), Type: onnxpb.AttributeProto_FLOAT.Enum(), F: proto.Float32(value)}
}

func int64s(values []int) []int64 {
	list := make([]int64, len(values))
	for i, v := range values {
		list[i] = int64(v)
	}
	return list
}
