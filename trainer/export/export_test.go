package export

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/fmnist-gpu/fmnist-gpu/cpuref"
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/checkpoint"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/export/internal/onnxpb"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/metrics"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/model"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/model/modeltest"
)

// allOptions are the ways to write a network.
var allOptions = []Options{{}, {Fold: true}, {Input: Uint8}, {Input: Uint8, Fold: true}}

// random returns a network with random weights, as after a training.
func random(t *testing.T, n model.Network, backend kernels.Backend) *trainer.Model {
	t.Helper()
	net, err := model.Build(model.Config{Network: n})
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	var tensors []checkpoint.Tensor
	for _, p := range slices.Concat(net.Params, net.Stats) {
		x := checkpoint.Tensor{Name: p.Name, Shape: p.Layout.Shape, Data: make([]float32, p.Tensor.Len())}
		for i := range x.Data {
			switch {
			case p.Bound > 0:
				x.Data[i] = float32(p.Bound * (2*r.Float64() - 1))
			default: // of a batch-norm: 0.5 to 1.5 times what a training begins with, or around 0
				x.Data[i] = p.Value + float32(r.Float64()-.5)
			}
		}
		tensors = append(tensors, x)
		if layer, ok := strings.CutSuffix(p.Name, ".running_mean"); ok {
			tensors = append(tensors, checkpoint.Scalar(layer+".num_batches_tracked", 7))
		}
	}
	path := filepath.Join(t.TempDir(), "random.safetensors")
	if err := checkpoint.Save(path, tensors, map[string]string{"seed": "5", "epoch": "3", "select_on": "val", "version": "v1"}); err != nil {
		t.Fatal(err)
	}
	m, err := trainer.LoadAs(path, backend, n)
	if err != nil {
		t.Fatal(err)
	}
	m.Normalization = model.Normalization{Mean: []float64{.3, .5, .6}[:n.Input.C], Std: []float64{.2, .25, .3}[:n.Input.C]}
	return m
}

// network returns a network of layers for images of 8×6×3 and two classes.
func network(layers ...model.Layer) model.Network {
	return model.Network{Name: "test", Input: model.Shape{H: 8, W: 6, C: 3}, Classes: []string{"a", "b"}, Layers: layers}
}

// write writes a model and reads the file with the schema's own reader.
func write(t *testing.T, m *trainer.Model, o Options) *onnxpb.ModelProto {
	t.Helper()
	path := filepath.Join(t.TempDir(), "m.onnx")
	if err := WriteONNX(path, m, o); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	p := &onnxpb.ModelProto{}
	if err := proto.Unmarshal(b, p); err != nil {
		t.Fatal(err)
	}
	return p
}

// ops lists the graph's operators.
func ops(p *onnxpb.ModelProto) string {
	var list []string
	for _, n := range p.Graph.Node {
		list = append(list, n.GetOpType())
	}
	return strings.Join(list, " ")
}

// tensors returns the values of the graph's weights and constants.
func tensors(t *testing.T, p *onnxpb.ModelProto) map[string][]float32 {
	t.Helper()
	byName := map[string][]float32{}
	for _, x := range p.Graph.Initializer {
		n := int64(1)
		for _, d := range x.Dims {
			n *= d
		}
		if x.GetDataType() != int32(onnxpb.TensorProto_FLOAT) || int64(len(x.RawData)) != 4*n {
			t.Errorf("%s has type %d, shape %v and %d bytes", x.GetName(), x.GetDataType(), x.Dims, len(x.RawData))
		}
		values := make([]float32, n)
		if _, err := binary.Decode(x.RawData, binary.LittleEndian, values); err != nil {
			t.Error(err)
		}
		if _, twice := byName[x.GetName()]; twice {
			t.Errorf("the tensor %s is there twice", x.GetName())
		}
		byName[x.GetName()] = values
	}
	return byName
}

// Every graph is in static single assignment, uses all that it holds, and describes
// each layer's result.
func TestGraphs(t *testing.T) {
	networks := uint64(200)
	if testing.Short() {
		networks = 40
	}
	for seed := range networks {
		m := random(t, modeltest.Random(seed), nil)
		for _, o := range allOptions {
			p := write(t, m, o)
			checkGraph(t, p)
			if o.Fold {
				continue
			}
			got := tensors(t, p)
			for _, w := range m.Tensors() {
				if w.Data != nil && !slices.Equal(got[w.Name], w.Data) {
					t.Errorf("%s holds %v, want %v", w.Name, got[w.Name], w.Data)
				}
			}
		}
		if t.Failed() {
			text, _ := m.Network.YAML()
			t.Fatalf("seed %d:\n%s", seed, text)
		}
	}
}

func checkGraph(t *testing.T, p *onnxpb.ModelProto) {
	t.Helper()
	uses, names := map[string]int{}, map[string]bool{}
	define := func(name string) {
		if _, twice := uses[name]; twice {
			t.Errorf("the value %s is defined twice", name)
		}
		uses[name] = 0
	}
	for name := range tensors(t, p) {
		define(name)
	}
	for _, in := range p.Graph.Input {
		define(in.GetName())
	}
	for _, n := range p.Graph.Node {
		for _, in := range n.Input {
			if _, ok := uses[in]; !ok {
				t.Errorf("%s reads %s, which is not there yet", n.GetName(), in)
			}
			uses[in]++
		}
		for _, out := range n.Output {
			define(out)
		}
		if names[n.GetName()] {
			t.Errorf("the operator %s is there twice", n.GetName())
		}
		names[n.GetName()] = true
	}
	for _, out := range p.Graph.Output {
		uses[out.GetName()]++
	}
	for name, n := range uses {
		if n == 0 {
			t.Errorf("nothing reads %s", name)
		}
	}
	for _, v := range p.Graph.ValueInfo {
		if _, ok := uses[v.GetName()]; !ok {
			t.Errorf("the value %s is described, but is not there", v.GetName())
		}
	}
}

// shapeText formats a described shape: "batch 3 8 6".
func shapeText(v *onnxpb.ValueInfoProto) string {
	var list []string
	for _, d := range v.GetType().GetTensorType().GetShape().GetDim() {
		if name := d.GetDimParam(); name != "" {
			list = append(list, name)
		} else {
			list = append(list, fmt.Sprint(d.GetDimValue()))
		}
	}
	return strings.Join(list, " ")
}

func TestLayers(t *testing.T) {
	n := network(
		model.Conv{Out: 4, Kernel: 3, Padding: 1}, model.BatchNorm{}, model.Activation{Function: model.ReLU}, model.Dropout{P: .5},
		model.Residual{
			Body:     []model.Layer{model.Conv{Out: 5, Kernel: 3, Stride: 2, Padding: 1, NoBias: true}, model.BatchNorm{}},
			Shortcut: []model.Layer{model.AvgPool{Kernel: 2}, model.Conv{Out: 5, Kernel: 1}}},
		model.MaxPool{Kernel: 2, Stride: 1}, model.Activation{Function: model.GELU}, model.Activation{Function: model.SiLU},
		model.Flatten{}, model.BatchNorm{}, model.Linear{Out: 7}, model.Dropout{P: .5}, model.BatchNorm{}, model.Linear{Out: model.AsClasses, NoBias: true})
	m := random(t, n, nil)
	plain, folded := write(t, m, Options{}), write(t, m, Options{Fold: true})
	if got, want := ops(plain), "Conv BatchNormalization Relu Conv BatchNormalization AveragePool Conv Add MaxPool "+
		"Div Erf Add Mul Mul Sigmoid Mul Flatten BatchNormalization Gemm BatchNormalization Gemm Softmax"; got != want {
		t.Errorf("operators %s, want %s", got, want)
	}
	if got, want := ops(folded), "Conv Relu Conv AveragePool Conv Add MaxPool "+
		"Div Erf Add Mul Mul Sigmoid Mul Flatten BatchNormalization Gemm Gemm Softmax"; got != want {
		t.Errorf("operators folded %s, want %s", got, want)
	}
	shapes := map[string]string{}
	for _, v := range slices.Concat(plain.Graph.Input, plain.Graph.ValueInfo, plain.Graph.Output) {
		shapes[v.GetName()] = shapeText(v)
	}
	want := map[string]string{"input": "batch 3 8 6", "conv1/output": "batch 4 8 6", "bn1/output": "batch 4 8 6", "relu1/output": "batch 4 8 6",
		"residual1.conv1/output": "batch 5 4 3", "residual1.bn1/output": "batch 5 4 3", "residual1.avgpool1/output": "batch 4 4 3",
		"residual1.conv2/output": "batch 5 4 3", "residual1/output": "batch 5 4 3", "maxpool1/output": "batch 5 3 2",
		"gelu1/output": "batch 5 3 2", "silu1/output": "batch 5 3 2", "flatten1/output": "batch 30", "bn2/output": "batch 30",
		"fc1/output": "batch 7", "bn3/output": "batch 7", "logits": "batch 2", "probabilities": "batch 2"}
	if !reflect.DeepEqual(shapes, want) {
		t.Errorf("shapes %v, want %v", shapes, want)
	}
	if got := fmt.Sprint(attribute(plain.Graph.Node[0], "strides"), attribute(plain.Graph.Node[5], "strides")); got != "[1 1] [2 2]" {
		t.Errorf("conv1 and residual1.avgpool1 have the default strides %s", got)
	}
	conv := plain.Graph.Node[3]
	if got := fmt.Sprint(attribute(conv, "kernel_shape"), attribute(conv, "strides"), attribute(conv, "pads")); got != "[3 3] [2 2] [1 1 1 1]" || len(conv.Input) != 2 {
		t.Errorf("residual1.conv1 has kernel, strides and padding %s and inputs %v", got, conv.Input)
	}
	pool := plain.Graph.Node[8]
	if got := fmt.Sprint(attribute(pool, "kernel_shape"), attribute(pool, "strides")); got != "[2 2] [1 1]" {
		t.Errorf("maxpool1 has kernel and strides %s", got)
	}
}

func attribute(n *onnxpb.NodeProto, name string) []int64 {
	for _, a := range n.Attribute {
		if a.GetName() == name {
			return a.Ints
		}
	}
	return nil
}

// A folded layer gives what the layer and the batch-norm give one after the other.
func TestFold(t *testing.T) {
	for name, layer := range map[string]model.Layer{
		"convolution":                    model.Conv{Name: "layer", Out: 4, Kernel: 3},
		"convolution without bias":       model.Conv{Name: "layer", Out: 4, Kernel: 3, NoBias: true},
		"fully connected":                model.Linear{Name: "layer", Out: 4},
		"fully connected, without bias":  model.Linear{Name: "layer", Out: 4, NoBias: true},
		"with a dropout in between, too": model.Linear{Name: "layer", Out: 4},
	} {
		layers := []model.Layer{layer, model.BatchNorm{Name: "norm"}, model.Flatten{}, model.Linear{Out: model.AsClasses}}
		if _, ok := layer.(model.Linear); ok {
			layers = slices.Insert(layers, 0, model.Layer(model.Flatten{}))
		}
		if strings.Contains(name, "dropout") {
			layers = slices.Insert(layers, 2, model.Layer(model.Dropout{P: .5}))
		}
		m := random(t, network(layers...), nil)
		plain, folded := tensors(t, write(t, m, Options{})), tensors(t, write(t, m, Options{Fold: true}))
		if folded["norm.weight"] != nil || folded["layer.bias"] == nil {
			t.Fatalf("%s: not folded", name)
		}
		r := rand.New(rand.NewPCG(3, 4))
		inputs := len(plain["layer.weight"]) / 4
		x := make([]float64, inputs)
		for i := range x {
			x[i] = r.NormFloat64()
		}
		for o := range 4 {
			z, _ := apply(plain, x, o)
			want := (z-float64(plain["norm.running_mean"][o]))/math.Sqrt(float64(plain["norm.running_var"][o])+1e-5)*float64(plain["norm.weight"][o]) + float64(plain["norm.bias"][o])
			got, size := apply(folded, x, o)
			if !(math.Abs(got-want) <= 4*size*0x1p-24) {
				t.Errorf("%s: output %d is %v, want %v", name, o, got, want)
			}
		}
	}
}

// apply returns output o of the layer for inputs x, and the sum of its terms' sizes.
func apply(weights map[string][]float32, x []float64, o int) (sum, size float64) {
	if bias := weights["layer.bias"]; bias != nil {
		sum, size = float64(bias[o]), math.Abs(float64(bias[o]))
	}
	for i := range x {
		term := x[i] * float64(weights["layer.weight"][o*len(x)+i])
		sum, size = sum+term, size+math.Abs(term)
	}
	return sum, size
}

func TestInput(t *testing.T) {
	m := random(t, network(model.Flatten{}, model.Linear{Out: model.AsClasses}), nil)
	p := write(t, m, Options{Input: Uint8})
	if got, want := ops(p), "Transpose Cast Div Sub Div Flatten Gemm Softmax"; got != want {
		t.Errorf("operators %s, want %s", got, want)
	}
	in := p.Graph.Input[0]
	if in.GetName() != "input" || shapeText(in) != "batch 8 6 3" || in.GetType().GetTensorType().GetElemType() != int32(onnxpb.TensorProto_UINT8) {
		t.Errorf("input %v", in)
	}
	got := tensors(t, p)
	if !reflect.DeepEqual(got["normalization/mean"], []float32{.3, .5, .6}) || !reflect.DeepEqual(got["normalization/std"], []float32{.2, .25, .3}) {
		t.Errorf("normalisation %v", got)
	}
	p = write(t, m, Options{})
	in = p.Graph.Input[0]
	if got := ops(p); got != "Flatten Gemm Softmax" || shapeText(in) != "batch 3 8 6" || in.GetType().GetTensorType().GetElemType() != int32(onnxpb.TensorProto_FLOAT) {
		t.Errorf("operators %s, input %v", got, in)
	}
}

func TestHeader(t *testing.T) {
	m := random(t, network(model.Flatten{}, model.Linear{Out: model.AsClasses}), nil)
	p := write(t, m, Options{Version: "v2"})
	if p.GetIrVersion() != 8 || len(p.OpsetImport) != 1 || p.OpsetImport[0].GetVersion() != 17 || p.OpsetImport[0].GetDomain() != "" {
		t.Errorf("IR version %d, opset %v", p.GetIrVersion(), p.OpsetImport)
	}
	if p.GetProducerName() != "fmnist-gpu" || p.GetProducerVersion() != "v2" || p.Graph.GetName() != "test" ||
		p.GetDocString() != "test classifies images of 8×6×3 into 2 classes, which the metadata names." {
		t.Errorf("producer %q %q, graph %q, %q", p.GetProducerName(), p.GetProducerVersion(), p.Graph.GetName(), p.GetDocString())
	}
	got := map[string]string{}
	for _, e := range p.MetadataProps {
		got[e.GetKey()] = e.GetValue()
	}
	want := map[string]string{"model": "test", "classes": `["a","b"]`, "image_size": "8x6", "channels": "3",
		"normalization": `{"mean":[0.3,0.5,0.6],"std":[0.2,0.25,0.3]}`, "framing": "crop", "seed": "5", "epoch": "3", "select_on": "val", "version": "v1"}
	want["network"], _ = m.Network.YAML()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("metadata %v, want %v", got, want)
	}
}

func TestFile(t *testing.T) {
	m := random(t, network(model.Flatten{}, model.Linear{Out: model.AsClasses}), nil)
	dir := t.TempDir()
	path := filepath.Join(dir, "m.onnx")
	var files [2][]byte
	for i := range files {
		if err := WriteONNX(path, m, Options{}); err != nil { // the second time, over the first
			t.Fatal(err)
		}
		files[i], _ = os.ReadFile(path)
	}
	if len(files[0]) == 0 || !bytes.Equal(files[0], files[1]) {
		t.Error("the same model gives other bytes")
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("the folder holds %v", entries)
	}
	if err := WriteONNX(filepath.Join(dir, "none", "m.onnx"), m, Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing folder: %v", err)
	}
	if err := WriteONNX(path, m, Options{Input: "uint16"}); !errors.Is(err, trainer.ErrUsage) || !strings.Contains(err.Error(), `input is "uint16"`) {
		t.Errorf("a wrong type of input: %v", err)
	}
}

func TestTooLarge(t *testing.T) {
	wide := network(model.Flatten{}, model.Linear{Out: 1 << 15}, model.Linear{Out: 1 << 14}, model.Linear{Out: model.AsClasses})
	if err := checkSize(wide); !errors.Is(err, trainer.ErrUsage) || !strings.Contains(err.Error(), "2.0 GiB") {
		t.Errorf("2 GiB: %v", err)
	}
	wide.Layers[1] = model.Linear{Out: 1 << 14}
	if err := checkSize(wide); err != nil {
		t.Errorf("1 GiB: %v", err)
	}
}

// ONNX Runtime agrees with this program on random networks and images. The test needs
// Python's packages onnx and onnxruntime; $FMNIST_PYTHON may name an interpreter that
// has them.
func TestONNXRuntime(t *testing.T) {
	python := os.Getenv("FMNIST_PYTHON")
	if python == "" {
		python = "python3"
	}
	if err := exec.Command(python, "-c", "import numpy, onnx, onnxruntime").Run(); err != nil {
		t.Skipf("needs Python with onnx and onnxruntime (FMNIST_PYTHON=INTERPRETER): %v", err)
	}
	backend, err := cpuref.Open(cpuref.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer backend.Close()
	networks := uint64(40)
	if testing.Short() {
		networks = 8
	}
	for seed := range networks {
		dir := t.TempDir()
		m := random(t, modeltest.Random(seed), backend)
		images := randomImages(m.Network.Input, 20)
		writeIDX(t, filepath.Join(dir, "images"), images)
		predictions := filepath.Join(dir, "predictions.csv")
		e, err := m.Evaluate(t.Context(), images)
		if err != nil {
			t.Fatal(err)
		}
		if err := metrics.WritePredictions(predictions, nil, images.Labels, e.Probabilities); err != nil {
			t.Fatal(err)
		}
		args := []string{"check.py", "--images", filepath.Join(dir, "images"), "--batch", "7", predictions}
		for i, o := range allOptions {
			path := filepath.Join(dir, fmt.Sprintf("%d.onnx", i))
			if err := WriteONNX(path, m, o); err != nil {
				t.Fatal(err)
			}
			args = append(args, path)
		}
		if out, err := exec.Command(python, args...).CombinedOutput(); err != nil {
			text, _ := m.Network.YAML()
			t.Errorf("seed %d: %v\n%s\n%s", seed, err, out, text)
		}
	}
}

func randomImages(in model.Shape, n int) dataset.Split {
	s := dataset.Split{N: n, Shape: dataset.Shape{H: in.H, W: in.W, C: in.C}, Labels: make([]byte, n)}
	s.Images = make([]byte, n*s.Len())
	r := rand.New(rand.NewPCG(5, 6))
	for i := range s.Images {
		s.Images[i] = byte(r.Uint32())
	}
	return s
}

func writeIDX(t *testing.T, path string, s dataset.Split) {
	t.Helper()
	b := []byte{0, 0, 8, 4}
	for _, d := range []int{s.N, s.H, s.W, s.C} {
		b = binary.BigEndian.AppendUint32(b, uint32(d))
	}
	if err := os.WriteFile(path, append(b, s.Images...), 0o666); err != nil {
		t.Fatal(err)
	}
}
