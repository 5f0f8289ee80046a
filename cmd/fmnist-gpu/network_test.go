package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"image/color"
	"os"
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

// A dropout that changes nothing is named, and not taken for a part of the recipe.
func TestTrainWithoutDropout(t *testing.T) {
	datasettest.Full(t)
	out := t.TempDir()
	printed := wantSuccess(t, "train", "--cpu", "--model", "logistic", "--dropout", "0.5", "--max-steps", "1", "--eval-images", "10", "--out", out, "--no-progress")
	if want := "note: the network logistic has no dropout: the setting dropout, 0.5, changes nothing\n"; !strings.Contains(printed, want) {
		t.Errorf("train prints %q, want %q in it", printed, want)
	}
	text, err := os.ReadFile(filepath.Join(out, "logistic", trainer.ArgsFile))
	if err != nil || strings.Contains(string(text), "dropout") {
		t.Errorf("args.yaml has the dropout (%v):\n%s", err, text)
	}
	if printed := wantSuccess(t, "train", "--resume", filepath.Join(out, "logistic"), "--max-steps", "2", "--no-progress"); strings.Contains(printed, "dropout") {
		t.Errorf("the run, resumed, prints %q", printed)
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
	if got := runBenchFor(t, "--cpu", "--model", file, "--no-profile"); !strings.Contains(got, ": train small, fp32, batch 64") {
		t.Errorf("bench prints\n%s", got)
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

// A network is summarised for the images and classes of the dataset that is named.
func TestSummaryForDataset(t *testing.T) {
	isolateCache(t)
	dir := t.TempDir()
	pictures, file, narrow := filepath.Join(dir, "pictures"), filepath.Join(dir, "small.yaml"), filepath.Join(dir, "narrow.yaml")
	writeClassFolders(t, pictures, 12, 4, color.RGBA{255, 100, 100, 255})
	writeFile(t, file, smallNetwork)
	writeFile(t, narrow, "layers:\n  - conv: {out: 2, kernel: 13}\n  - flatten\n  - linear: {out: classes}\n")
	if got := wantSuccess(t, "summary", file, "--dataset", pictures); !strings.Contains(got, "small, for images of 12×12×3 and 3 classes") {
		t.Errorf("summary prints\n%s", got)
	}
	for network, classes := range map[string]int{"logistic": 3, "baseline_logistic": 3} {
		var summary struct {
			Input   []int
			Classes int
			Layers  []model.LayerSummary
		}
		if err := json.Unmarshal([]byte(wantSuccess(t, "summary", network, "--json", "--dataset", pictures, "--image-size", "10")), &summary); err != nil {
			t.Fatal(err)
		}
		if last := summary.Layers[len(summary.Layers)-1]; fmt.Sprint(summary.Input) != "[10 10 3]" || summary.Classes != classes || last.Parameters != 3*(300+1) {
			t.Errorf("%s: %+v", network, summary)
		}
	}
	wantSuccess(t, "summary", narrow)
	wantFailure(t, []string{"summary", narrow, "--dataset", pictures}, exitUsage, "narrow.yaml: line 2: layer conv1 (input 12×12×3): a kernel of 13")
	wantFailure(t, []string{"summary", "fashioncnn", "--image-size", "32"}, exitUsage, "--image-size 32")
	wantFailure(t, []string{"summary", filepath.Join(trainedOnStripes(t), "cnn"), "--dataset", pictures}, exitUsage, "is a checkpoint", "leave --dataset out")
}

// An experiment trains networks from files beside it, on any dataset.
func TestExperimentOfNetworks(t *testing.T) {
	isolateCache(t)
	dir := t.TempDir()
	pictures, file, out := filepath.Join(dir, "pictures"), filepath.Join(dir, "nets", "nets.yaml"), filepath.Join(dir, "runs")
	writeClassFolders(t, pictures, 12, 12, color.White)
	writeFile(t, filepath.Join(dir, "nets", "cnn.yaml"), tinyCNN)
	writeFile(t, filepath.Join(dir, "nets", "wide.yaml"), "layers: [flatten, {linear: {out: 10}}]\n")
	base := "base: {dataset: " + pictures + ", max-steps: 4, batch-size: 8}\n"
	writeFile(t, file, base+"grid:\n  model: [cnn.yaml, logistic]\n")
	var c struct{ Groups []study.Comparison }
	if err := json.Unmarshal([]byte(wantSuccess(t, "experiment", file, "--cpu", "--out", out, "--json")), &c); err != nil || len(c.Groups) != 1 || len(c.Groups[0].Recipes) != 2 {
		t.Fatalf("%v: %+v", err, c)
	}
	for _, r := range c.Groups[0].Recipes {
		if r.Name != "cnn" && r.Name != "logistic" {
			t.Errorf("a recipe is named %q", r.Name)
		}
	}
	if err := os.RemoveAll(filepath.Join(out, "modelcnn", "metrics.json")); err != nil {
		t.Fatal(err)
	}
	if got := wantSuccess(t, "experiment", file, "--cpu", "--out", out, "--parallel", "1"); strings.Count(got, ": already finished") != 1 || strings.Count(got, "] modelcnn") != 1 {
		t.Errorf("the second time, it prints\n%s", got)
	}
	if got := wantSuccess(t, "eval", "--cpu", "--checkpoint", filepath.Join(out, "modelcnn"), "--dataset", pictures); !strings.Contains(got, "cnn, ") {
		t.Errorf("eval prints\n%s", got)
	}
	writeFile(t, filepath.Join(dir, "nets", "cnn.yaml"), strings.Replace(tinyCNN, "out: 6", "out: 7", 1))
	wantFailure(t, []string{"experiment", file, "--cpu", "--out", out}, exitUsage, "modelcnn was trained with other settings (network: ")
	writeFile(t, file, base+"grid:\n  model: [logistic, wide.yaml]\n")
	wantFailure(t, []string{"experiment", file, "--cpu", "--quiet", "--out", filepath.Join(dir, "x")}, exitUsage, "--quiet")
	_, stderr, code := run(t, "experiment", file, "--cpu", "--json", "--out", filepath.Join(dir, "x"))
	if code != exitUsage || !strings.Contains(stderr, "fmnist-gpu: modelwide: ") || !strings.Contains(stderr, "10 values, but there are 3 classes") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	writeFile(t, file, base+"grid:\n  model:\n  - logistic\n  - none.yaml\n")
	wantFailure(t, []string{"experiment", file, "--cpu", "--out", filepath.Join(dir, "x")}, exitUsage, file+": line 5: ", "none.yaml")
	writeFile(t, file, "base: {dataset: "+filepath.Join(dir, "nets")+", model: logistic}\n")
	wantFailure(t, []string{"experiment", file, "--cpu", "--out", filepath.Join(dir, "x")}, exitBadFile, "no dataset in "+filepath.Join(dir, "nets"))
	if _, err := os.Stat(filepath.Join(dir, "x")); err == nil {
		t.Error("an experiment that cannot train has left its folder")
	}
}

// Weights that do not say their network need --model, unless they are a built-in one's.
func TestCheckpointWithoutMetadata(t *testing.T) {
	dir := trainedOnStripes(t)
	weights := filepath.Join(t.TempDir(), "bare.safetensors")
	writeFile(t, weights, withoutMetadata(t, filepath.Join(dir, "cnn", "weights", "best.safetensors")))
	network, pictures := filepath.Join(dir, "cnn.yaml"), filepath.Join(dir, "pictures")
	wantFailure(t, []string{"eval", "--cpu", "--checkpoint", weights, "--dataset", pictures}, exitBadFile, "name it with --model")
	wantFailure(t, []string{"eval", "--cpu", "--checkpoint", weights, "--dataset", pictures, "--model", "nothing"}, exitUsage, "--model", "YAML")
	wantFailure(t, []string{"eval", "--cpu", "--checkpoint", weights, "--dataset", pictures, "--model", "logistic"}, exitBadFile, "do not match")
	got := wantSuccess(t, "eval", "--cpu", "--checkpoint", weights, "--dataset", pictures, "--model", network)
	want := wantSuccess(t, "eval", "--cpu", "--checkpoint", filepath.Join(dir, "cnn"), "--dataset", pictures)
	line := func(text string) string {
		_, after, _ := strings.Cut(text, "\naccuracy ")
		accuracy, _, _ := strings.Cut(after, "%")
		return accuracy
	}
	if line(got) == "" || line(got) != line(want) {
		t.Errorf("with --model:\n%s\nwith metadata:\n%s", got, want)
	}
}

// withoutMetadata returns the content of a safetensors file without its metadata.
func withoutMetadata(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	length := binary.LittleEndian.Uint64(data)
	header := map[string]json.RawMessage{}
	if err := json.Unmarshal(data[8:8+length], &header); err != nil {
		t.Fatal(err)
	}
	delete(header, "__metadata__")
	text, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	return string(binary.LittleEndian.AppendUint64(nil, uint64(len(text)))) + string(text) + string(data[8+length:])
}
