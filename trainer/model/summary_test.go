package model

import (
	"reflect"
	"testing"
)

// The summary of a network adds up to the parameters of its plan, and its
// shapes are those of PyTorch.
func TestSummary(t *testing.T) {
	n, err := parse(residualNet)
	if err != nil {
		t.Fatal(err)
	}
	list, err := n.Summary()
	if err != nil {
		t.Fatal(err)
	}
	net := mustBuild(t, Config{Network: n, Images: 4, EvalBatches: []int{4}, EvalImages: 4})
	parameters := 0
	byName := map[string]LayerSummary{}
	for _, l := range list {
		parameters += l.Parameters
		byName[l.Name] = l
	}
	if parameters != net.ParameterCount() {
		t.Errorf("%d parameters, want %d", parameters, net.ParameterCount())
	}
	for _, want := range []LayerSummary{
		{"stem", "conv", []int{28, 28, 16}, 144, 2 * 144 * 28 * 28},
		{"bn1", "batchnorm", []int{28, 28, 16}, 32, 0},
		{"block1.conv1", "conv", []int{14, 14, 32}, 16 * 9 * 32, 2 * 16 * 9 * 32 * 14 * 14},
		{"block1.down", "conv", []int{14, 14, 32}, 512, 2 * 512 * 14 * 14},
		{"block1", "residual", []int{14, 14, 32}, 0, 0},
		{"maxpool1", "maxpool", []int{7, 7, 32}, 0, 0},
		{"avgpool1", "avgpool", []int{1, 1, 32}, 0, 0},
		{"flatten1", "flatten", []int{32}, 0, 0},
		{"fc1", "linear", []int{10}, 330, 640},
	} {
		if got := byName[want.Name]; !reflect.DeepEqual(got, want) {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
}

func TestSummaryOfBuiltInNetworks(t *testing.T) {
	for name, want := range map[string]int{"fashioncnn": 1_701_578, "alternative": 215_466, "logistic": 7_850, "resnet20": 272_186} {
		list, err := config(name).Network.Summary()
		if err != nil {
			t.Fatal(err)
		}
		got := 0
		for _, l := range list {
			got += l.Parameters
		}
		if got != want {
			t.Errorf("%s: %d parameters, want %d", name, got, want)
		}
	}
}
