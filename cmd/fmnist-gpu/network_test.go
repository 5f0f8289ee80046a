package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset/datasettest"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/model"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/study"
)

const smallNetwork = `layers:
  - conv: {name: stem, out: 4, kernel: 3, stride: 2, padding: 1, bias: false}
  - batchnorm
  - relu
  - residual:
      body: [ {conv: {out: 4, kernel: 3, padding: 1}}, batchnorm ]
  - silu
  - avgpool: global
  - flatten
  - dropout: 0.125
  - linear: {out: classes}
`

// A user's network is trained, evaluated and resumed without the YAML file that it came
// from.
func TestTrainNetworkFromYAML(t *testing.T) {
	datasettest.Full(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "small.yaml")
	writeFile(t, file, smallNetwork)
	out := filepath.Join(dir, "runs")
	wantSuccess(t, "train", "--cpu", "--model", file, "--max-steps", "3", "--eval-images", "50", "--out", out, "--quiet")
	run1 := filepath.Join(out, "small")
	writeFile(t, file, "layers: [relu]") // not read any more
	if got := wantSuccess(t, "eval", "--cpu", "--checkpoint", run1); !strings.Contains(got, "small, 250 parameters") {
		t.Errorf("eval prints %q", got)
	}
	wantSuccess(t, "train", "--resume", run1, "--max-steps", "5", "--quiet")
	wantSuccess(t, "train", "--cpu", "--config", filepath.Join(run1, trainer.ArgsFile), "--name", "again", "--quiet")
	wantSuccess(t, "train", "--cpu", "--config", filepath.Join(run1, trainer.ArgsFile), "--init", filepath.Join(run1, "weights", "best.safetensors"),
		"--dropout", "0.5", "--name", "more", "--quiet")
	var more study.Config
	if err := more.LoadYAML(filepath.Join(out, "more", trainer.ArgsFile)); err != nil {
		t.Fatal(err)
	}
	n, err := more.BuildNetwork(dataset.FashionMNIST)
	if err != nil {
		t.Fatal(err)
	}
	if text, _ := n.YAML(); !strings.Contains(text, "dropout: 0.5") {
		t.Errorf("--dropout did not change the network\n%s", text)
	}
}

// wantSuccess runs a command and returns what it prints.
func wantSuccess(t *testing.T, args ...string) string {
	t.Helper()
	stdout, stderr, code := run(t, args...)
	if code != exitDone {
		t.Fatalf("%v: exit code %d: %s", args, code, stderr)
	}
	return stdout
}

// An error in a network is reported in one line: the file, the line, the layer, its
// input and what would fit.
func TestWrongNetworks(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "net.yaml")
	for text, want := range map[string]string{
		"layers:\n  - conv: {out: 8, kernel: 30}\n  - flatten\n  - linear: {out: classes}": "net.yaml: line 2: layer conv1 (input 28×28×1): a kernel of 30",
		"layers:\n  - tanh":                           "net.yaml: line 2: there is no layer \"tanh\"",
		"layers:\n  - flatten\n  - linear: {out: 26}": "the network ends with 26 values, but there are 10 classes",
		"epochs: 3": "network has no setting \"epochs\"",
		"layers: [" + strings.Repeat("relu, ", 10_000) + "relu]": "at most 1000 layers",
	} {
		writeFile(t, file, text)
		wantFailure(t, []string{"train", "--cpu", "--model", file, "--out", filepath.Join(dir, "runs")}, exitUsage, want)
		wantFailure(t, []string{"summary", file}, exitUsage, want)
	}
	wantFailure(t, []string{"train", "--cpu", "--model", filepath.Join(dir, "none.yaml")}, exitUsage, "cannot read", "none.yaml")
	wantFailure(t, []string{"train", "--cpu", "--model", "resnet"}, exitUsage, `model is "resnet"`, "fashioncnn")
	wantFailure(t, []string{"summary", filepath.Join(dir, "none")}, exitBadFile, "none")
}

func TestSummary(t *testing.T) {
	file := filepath.Join(t.TempDir(), "small.yaml")
	writeFile(t, file, smallNetwork)
	if got := wantSuccess(t, "summary", file); !strings.Contains(got, "residual1.conv1") || !strings.Contains(got, "250 parameters") {
		t.Errorf("summary prints\n%s", got)
	}
	for name, want := range map[string]int{"main_no_aug": 1_701_578, "alternative": 215_466} {
		var summary struct{ Layers []model.LayerSummary }
		if err := json.Unmarshal([]byte(wantSuccess(t, "summary", name, "--json")), &summary); err != nil {
			t.Fatal(err)
		}
		got := 0
		for _, l := range summary.Layers {
			got += l.Parameters
		}
		if got != want {
			t.Errorf("%s has %d parameters, want %d", name, got, want)
		}
	}
}
