package export

import (
	"fmt"
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/export/internal/onnxpb"
)

const (
	producer  = "fmnist-gpu"
	opset     = 17
	irVersion = onnxpb.Version_IR_VERSION_2021_7_30 // 8, opset 17's
)

// Names of the network's inputs and outputs. The values between them have a slash in
// their names, the weights a dot.
const (
	inputName         = "input"
	logitsName        = "logits"
	probabilitiesName = "probabilities"
)

// modelProto describes a model in ONNX's terms.
func modelProto(m *trainer.Model, o Options) (*onnxpb.ModelProto, error) {
	g, err := newGraph(m, o)
	if err != nil {
		return nil, err
	}
	about, err := m.Metadata()
	if err != nil {
		return nil, err
	}
	p := &onnxpb.ModelProto{
		IrVersion:       proto.Int64(int64(irVersion)),
		OpsetImport:     []*onnxpb.OperatorSetIdProto{{Domain: proto.String(""), Version: proto.Int64(opset)}},
		ProducerName:    proto.String(producer),
		ProducerVersion: text(o.Version),
		DocString: text(fmt.Sprintf("%s classifies images of %v into %d classes, which the metadata names.",
			m.Network.Name, m.Network.Input, len(m.Network.Classes))),
		Graph: g.GraphProto,
	}
	for _, key := range slices.Sorted(maps.Keys(about)) {
		p.MetadataProps = append(p.MetadataProps, &onnxpb.StringStringEntryProto{Key: text(key), Value: text(about[key])})
	}
	return p, nil
}

// newGraph writes the whole network, from the input to the probabilities.
func newGraph(m *trainer.Model, o Options) (*graph, error) {
	nodes, err := m.Network.Nodes()
	if err != nil {
		return nil, err
	}
	name := m.Network.Name
	if name == "" {
		name = "network" // a graph must have a name
	}
	g := &graph{GraphProto: &onnxpb.GraphProto{Name: text(name)}, weights: weightsOf(m), fold: o.Fold}
	in, classes := m.Network.Input, len(m.Network.Classes)
	x := inputName
	if o.Input == Uint8 {
		g.Input = append(g.Input, valueInfo(inputName, onnxpb.TensorProto_UINT8, []int{in.H, in.W, in.C},
			"images, (batch, height, width, channels), bytes as picture libraries hold them"))
		x = g.normalize(x, m.Normalization)
	} else {
		g.Input = append(g.Input, valueInfo(inputName, onnxpb.TensorProto_FLOAT, []int{in.C, in.H, in.W},
			fmt.Sprintf("images, (batch, channels, height, width), normalised: (x/255 - mean)/std of a byte x, with mean %v and std %v", m.Normalization.Mean, m.Normalization.Std)))
	}
	g.layers(nodes, x)
	g.nameLast(logitsName)
	g.Node = append(g.Node, &onnxpb.NodeProto{Name: proto.String(probabilitiesName), OpType: proto.String("Softmax"),
		Input: []string{logitsName}, Output: []string{probabilitiesName}, Attribute: []*onnxpb.AttributeProto{integer("axis", -1)}})
	g.Output = []*onnxpb.ValueInfoProto{
		valueInfo(logitsName, onnxpb.TensorProto_FLOAT, []int{classes}, "one score per class, before softmax"),
		valueInfo(probabilitiesName, onnxpb.TensorProto_FLOAT, []int{classes}, "softmax of the logits"),
	}
	return g, nil
}
