package model

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// parse reads a network for images of 28×28×1 and ten classes, as far as that
// goes without an error.
func parse(text string) (Network, error) {
	n, err := ParseYAML("net.yaml", []byte(text))
	n.Input, n.Classes = Shape{H: 28, W: 28, C: 1}, make([]string, 10)
	if err == nil {
		err = n.Check()
	}
	return n, err
}

const residualNet = `layers:
  - conv: {name: stem, out: 16, kernel: 3, padding: 1, bias: false}
  - batchnorm
  - relu
  - residual:
      name: block1
      body:
        - conv: {name: conv1, out: 32, kernel: 3, stride: 2, padding: 1, bias: false}
        - batchnorm: {name: bn1}
        - silu
        - dropout: 0.1
        - conv: {out: 32, kernel: 3, padding: 1, bias: false}
        - batchnorm
      shortcut:
        - conv: {name: down, out: 32, kernel: 1, stride: 2, bias: false}
  - relu
  - residual:
      body:
        - conv: {out: 32, kernel: 3, padding: 1}
        - gelu
  - maxpool: 2
  - avgpool: global
  - flatten
  - dropout: 0.25
  - linear: {out: classes}
`

func TestYAMLNamesAndShapes(t *testing.T) {
	n, err := parse(residualNet)
	if err != nil {
		t.Fatal(err)
	}
	net := mustBuild(t, Config{Network: n, Optimizer: DefaultAdam(), Images: 8, TrainBatches: []int{4}, TrainImages: 8, EvalBatches: []int{4}, EvalImages: 8})
	want := []string{
		"stem.weight [16 1 3 3]", "bn1.weight [16]", "bn1.bias [16]",
		"block1.conv1.weight [32 16 3 3]", "block1.bn1.weight [32]", "block1.bn1.bias [32]",
		"block1.conv2.weight [32 32 3 3]", "block1.bn2.weight [32]", "block1.bn2.bias [32]",
		"block1.down.weight [32 16 1 1]",
		"residual2.conv1.weight [32 32 3 3]", "residual2.conv1.bias [32]",
		"fc1.weight [10 32]", "fc1.bias [10]",
	}
	var got []string
	for _, p := range net.Params {
		got = append(got, fmt.Sprint(p.Name, " ", p.Layout.Shape))
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("parameters\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// What YAML writes, ParseYAML reads, for the built-in networks too.
func TestYAMLRoundTrip(t *testing.T) {
	networks := map[string]Network{}
	for _, name := range Names() {
		networks[name] = config(name).Network
	}
	var err error
	if networks["residual"], err = parse(residualNet); err != nil {
		t.Fatal(err)
	}
	for name, n := range networks {
		text, err := n.YAML()
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseYAML(name+".yaml", []byte(text))
		if err != nil {
			t.Fatalf("%s: %v, in\n%s", name, err, text)
		}
		if !reflect.DeepEqual(again.Layers, n.Layers) {
			t.Errorf("%s becomes\n%+v\nfrom\n%+v\nby way of\n%s", name, again.Layers, n.Layers, text)
		}
	}
}

// Every mistake is one line that names the file, the line and what would fit.
func TestYAMLErrors(t *testing.T) {
	end := "\n  - flatten\n  - linear: {out: classes}"
	for text, want := range map[string]string{
		"":                                "net.yaml is empty",
		"# nothing":                       "net.yaml is empty",
		"layers: []":                      "net.yaml: line 1: want a list of layers",
		"layers: 3":                       "net.yaml: line 1: want a list of layers",
		"layer: [relu]":                   `net.yaml: line 1: network has no setting "layer": want one of layers`,
		"layers:\n  - rel":                `net.yaml: line 2: there is no layer "rel": want one of conv, batchnorm, relu`,
		"layers:\n  - relu: {x: 1}" + end: `line 2: relu has no settings: write just "- relu"`,
		"layers:\n  - conv" + end:         "line 2: conv lacks the setting out",
		"layers:\n  - conv: {out: 3, kernal: 3}" + end:                                                            `line 2: conv has no setting "kernal": want one of bias, kernel, name, out, padding, stride`,
		"layers:\n  - conv: {out: 0, kernel: 3}" + end:                                                            `line 2: conv: out is "0": want a whole number of at least 1`,
		"layers:\n  - conv: {out: 3.5, kernel: 3}" + end:                                                          `line 2: conv: out is "3.5": want a whole number of at least 1`,
		"layers:\n  - conv: {out: 3, kernel: 3, stride: 0}" + end:                                                 `line 2: conv: stride is "0": want a whole number of at least 1`,
		"layers:\n  - conv: {out: 3, kernel: 3, out: 4}" + end:                                                    "line 2: conv: out appears twice",
		"layers:\n  - conv: {out: 3, kernel: 3, name: a.b}" + end:                                                 `line 2: conv: name is "a.b": want letters`,
		"layers:\n  - conv: {out: 3, kernel: 3, bias: yes}" + end:                                                 `line 2: conv: bias is "yes": want true or false`,
		"layers:\n  - conv: {out: 3, kernel: 29}" + end:                                                           "net.yaml: line 2: layer conv1 (input 28×28×1): a kernel of 29 does not fit with padding 0: use at most 28, or more padding",
		"layers:\n  - maxpool: 15\n  - maxpool: 2" + end:                                                          "line 3: layer maxpool2 (input 1×1×1): a window of 2×2 does not fit: use at most 1",
		"layers:\n  - flatten\n  - conv: {out: 3, kernel: 1}" + end:                                               "line 3: layer conv1 (input 784 values): it needs an image: put it before flatten",
		"layers:\n  - linear: {out: classes}":                                                                     "line 2: layer fc1 (linear, input 28×28×1): it needs a vector: put flatten before it",
		"layers:\n  - flatten\n  - linear: {out: 7}":                                                              "line 3: layer fc1 (linear): the network ends with 7 values, but there are 10 classes",
		"layers:\n  - flatten\n  - linear: {out: -1}":                                                             `line 3: linear: out is "-1": want a whole number of at least 1, or the word classes`,
		"layers:\n  - dropout: 1" + end:                                                                           "line 2: dropout: want a probability from 0 to below 1",
		"layers:\n  - dropout: .nan" + end:                                                                        "line 2: dropout: want a probability",
		"layers:\n  - conv: {name: a, out: 1, kernel: 1}\n  - relu\n  - conv: {name: a, out: 1, kernel: 1}" + end: "line 4: layer a (conv): a layer on line 2 has that name already",
		"layers:\n  - residual: {body: []}" + end:                                                                 "line 2: want a list of layers",
		"layers:\n  - residual: {shortcut: [relu]}" + end:                                                         "line 2: residual lacks the setting body",
		"layers:\n  - residual:\n      body: [{conv: {out: 4, kernel: 3}}]" + end:                                 "line 2: layer residual1 (input 28×28×1): its body gives 26×26×4, its shortcut 28×28×1: let its body keep the shape, or add a shortcut",
		"layers:\n  - residual: &a\n      body: [residual: *a]" + end:                                             "at most",
		"layers: &a\n  - residual: {body: *a}" + end:                                                              "at most",
		"layers: [" + strings.Repeat("relu, ", 10_000) + "flatten]":                                               "line 1: a network has at most 1000 layers",
		"layers:" + end + "\n---\nlayers: [relu]":                                                                 "net.yaml holds more than one YAML document",
		"layers: [" + strings.Repeat("relu, ", 1<<18) + "]":                                                       "net.yaml has more than 131072 values",
		"layers:\n\t- relu": "net.yaml: not valid YAML: line 2",
	} {
		_, err := parse(text)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%.80q gives\n%v, want\n%s", text, err, want)
		}
	}
}

// A network made in Go is checked too.
func TestCheck(t *testing.T) {
	for want, layers := range map[string][]Layer{
		"has no layers":                      {},
		"layer 1 of network x is nil":        {nil},
		"is a *model.Flatten: want a value":  {&Flatten{}},
		`layer a.b (linear): the name "a.b"`: {Flatten{}, Linear{Name: "a.b", Out: AsClasses}},
		"stride 5000: want":                  {MaxPool{Kernel: 2, Stride: 5000}},
		"padding 5000: want a kernel":        {Conv{Out: 1, Kernel: 3, Padding: 5000}},
		`the function "tanh" is unknown`:     {Activation{"tanh"}},
		"out is 0: want 1 to":                {Conv{Kernel: 1}},
		"padding -1":                         {Conv{Out: 1, Kernel: 1, Padding: -1}},
		"it would have":                      {Conv{Out: 1 << 16, Kernel: 1}, Conv{Out: 1 << 16, Kernel: 1}},
		"layer fc4 (linear, input 20000 values): with it, the network would have 1215": {
			Flatten{}, Linear{Out: 20000}, Linear{Out: 20000}, Linear{Out: 20000}, Linear{Out: 20000}},
		"the probability is NaN":             {Dropout{nan()}},
		"the probability is 0.99999999999":   {Dropout{.99999999999}}, // 1 as a float32
		"its body is empty":                  {Residual{}},
		"layer relu1: the network ends with": {Activation{ReLU}},
	} {
		n := Network{Name: "x", Input: Shape{H: 28, W: 28, C: 1}, Classes: make([]string, 10), Layers: layers}
		if err := n.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// Large windows cost more than any parameter says: a network whose images take hours is
// refused, be it for one layer or for all. The largest of real networks is not.
func TestCheckOperations(t *testing.T) {
	end := []Layer{AvgPool{}, Flatten{}, Linear{Out: AsClasses}}
	third := Conv{Out: 32, Kernel: 3, Padding: 1} // of the bound
	for want, layers := range map[string][]Layer{
		"layer avgpool1 (input 4096×4096×1): it would take 1.8e+13 operations for each image: want at most 1e+11": {AvgPool{Kernel: 2048, Stride: 1}},
		"layer maxpool1 (input 4096×4096×1): it would take 1.8e+13 operations":                                    {MaxPool{Kernel: 2048, Stride: 1}},
		"layer conv1 (input 4096×4096×1): it would take 4.4e+12 operations":                                       {Conv{Out: 1, Kernel: 513, Padding: 256}},
		"layer residual1.conv2 (conv, input 2048×2048×32): with it, the network would take 1.2e+11 operations":    {MaxPool{Kernel: 2}, third, third, Residual{Body: []Layer{third, third}}},
		"": {AvgPool{Kernel: 4}, Conv{Out: 64, Kernel: 7, Padding: 3}},
	} {
		n := Network{Name: "x", Input: Shape{H: 4096, W: 4096, C: 1}, Classes: make([]string, 10), Layers: append(layers, end...)}
		if err := n.Check(); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// A network without weights has nothing to train.
func TestCheckWithoutWeights(t *testing.T) {
	n := Network{Name: "x", Input: Shape{H: 2, W: 5, C: 1}, Classes: make([]string, 10), Layers: []Layer{Activation{ReLU}, Flatten{}}}
	if err := n.Check(); err == nil || !strings.Contains(err.Error(), "the network has no weights to train") {
		t.Errorf("without weights: %v", err)
	}
	n.Layers = []Layer{BatchNorm{}, Flatten{}}
	if err := n.Check(); err != nil {
		t.Errorf("with batch-norm's weights: %v", err)
	}
}

func nan() float64 { z := 0.; return z / z }

// Two dropouts have masks of their own.
func TestDropoutsAreNumbered(t *testing.T) {
	n, err := parse(residualNet)
	if err != nil {
		t.Fatal(err)
	}
	net := mustBuild(t, Config{Network: n, Optimizer: DefaultAdam(), Images: 8, TrainBatches: []int{4}, TrainImages: 8})
	var layers []uint32
	for _, op := range net.Plan.Find(TrainSection(4)).Ops {
		if d, ok := op.(kernels.DropoutForward); ok {
			layers = append(layers, d.Layer)
		}
	}
	if !reflect.DeepEqual(layers, []uint32{0, 1}) {
		t.Errorf("the dropouts are numbered %v, want 0 and 1", layers)
	}
}

func TestWithDropout(t *testing.T) {
	n, err := parse(residualNet)
	if err != nil {
		t.Fatal(err)
	}
	text, err := n.WithDropout(.5).YAML()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(text, "dropout: 0.5") != 2 {
		t.Errorf("with dropout .5:\n%s", text)
	}
	if again, _ := n.YAML(); strings.Contains(again, "0.5") {
		t.Error("the network itself changed")
	}
	for text, want := range map[string]bool{residualNet: true, "layers: [flatten, {linear: {out: classes}}]": false,
		"layers: [{residual: {body: [{dropout: 0}]}}, flatten, {linear: {out: classes}}]": true} {
		if n, err := parse(text); err != nil || n.HasDropout() != want {
			t.Errorf("%s: HasDropout is not %v (%v)", text, want, err)
		}
	}
}
