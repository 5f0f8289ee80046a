package study

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/setting"
)

const (
	linearNetwork = "layers: [flatten, {linear: {out: classes}}]\n"
	deepNetwork   = "layers: [flatten, {linear: {out: 20}}, relu, {linear: {out: classes}}]\n"
)

func writeText(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
}

// The networks of an experiment are read from files beside it, and named after them.
func TestExperimentOfNetworkFiles(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "nets.yaml")
	writeText(t, filepath.Join(dir, "own", "deep.yaml"), deepNetwork)
	writeText(t, filepath.Join(dir, "linear.yml"), linearNetwork)
	writeText(t, file, "grid:\n  model: [own/deep.yaml, logistic, "+filepath.Join(dir, "linear.yml")+"]\n  seed: 1-2\n")
	e, err := LoadExperiment(file)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range e.Groups[0].Runs {
		names = append(names, c.Name)
	}
	if got := strings.Join(names, " "); got != "modeldeep-seed1 modeldeep-seed2 modellogistic-seed1 modellogistic-seed2 modellinear-seed1 modellinear-seed2" {
		t.Errorf("the runs are %s", got)
	}
	deep := e.Groups[0].Runs[0]
	n, err := deep.BuildNetwork(dataset.FashionMNIST)
	if err != nil || deep.Model != "deep" || len(n.Layers) != 4 {
		t.Errorf("the first run's network is %s: %d layers (%v)", deep.Model, len(n.Layers), err)
	}

	writeText(t, file, "base: {model: linear.yml}\n")
	if e, err = LoadExperiment(file); err != nil || e.Groups[0].Runs[0].Name != "linear" {
		t.Errorf("under base: %+v (%v)", e, err)
	}
	// An override's path is relative to the current folder, not to the file's.
	t.Chdir(filepath.Join(dir, "own"))
	override := setting.Assignment{Name: "model", Value: "deep.yaml", Source: "override"}
	if e, err = LoadExperiment(file, override); err != nil || e.Groups[0].Runs[0].Model != "deep" {
		t.Errorf("overridden: %+v (%v)", e, err)
	}
}

// What is wrong with a network's file is reported with the line of the experiment that
// names it.
func TestExperimentOfWrongNetworkFiles(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "nets.yaml")
	writeText(t, filepath.Join(dir, "a", "net.yaml"), linearNetwork)
	writeText(t, filepath.Join(dir, "b", "net.yaml"), deepNetwork)
	writeText(t, filepath.Join(dir, "tanh.yaml"), "layers:\n  - tanh\n")
	writeText(t, filepath.Join(dir, "wide.yaml"), "layers: [flatten, {linear: {out: 26}}]\n")
	for text, want := range map[string]string{
		"base: {lr: 0.1}\ngrid:\n  model: [logistic, none.yaml]\n": file + ": line 3: cannot read the network " + filepath.Join(dir, "none.yaml") + ": no such file",
		"base:\n  model: tanh.yaml\n":                              file + ": line 2: " + filepath.Join(dir, "tanh.yaml") + `: line 2: there is no layer "tanh"`,
		"grid: {model: [wide.yaml]}\n":                             "line 1: " + filepath.Join(dir, "wide.yaml"),
		"grid: {model: [a/net.yaml, b/net.yaml]}\n":                "two runs are named modelnet: a value is given twice, or two networks or variants have one name",
	} {
		writeText(t, file, text)
		if _, err := LoadExperiment(file); !errors.Is(err, trainer.ErrUsage) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	writeText(t, file, "base: {model: wide.yaml, dataset: "+dir+"}\n")
	e, err := LoadExperiment(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Fit(dataset.FashionMNIST); !errors.Is(err, trainer.ErrUsage) || !strings.Contains(err.Error(), "wide: ") ||
		!strings.Contains(err.Error(), filepath.Join(dir, "wide.yaml")+": line 1: layer fc1") || !strings.Contains(err.Error(), "26 values, but there are 10 classes") {
		t.Errorf("a network that does not fit the dataset: %v", err)
	}
}

// Networks of one name are told apart by their layers, and also by their order.
func TestRecipesOfNetworks(t *testing.T) {
	config := func(layers string) Config {
		c := DefaultConfig()
		c.Model, c.Network = "own", layers
		return c
	}
	a, b := config("layers:\n- relu\n- silu\n- flatten\n"), config("layers:\n- silu\n- relu\n- flatten\n")
	if len(differences(a, a)) != 0 || len(differences(a, b)) != 1 || strings.Contains(differences(a, b)[0], "layers") {
		t.Errorf("networks with other layers differ in %q", differences(a, b))
	}
	for _, line := range strings.Split(strings.TrimSpace(a.recipe()), "\n") {
		if strings.HasPrefix(line, " ") || strings.HasPrefix(line, "-") {
			t.Errorf("%q is no setting on a line of its own", line)
		}
	}
}

// Layers without a model get a name of their own; layers beside a file are refused.
func TestNetworkWithoutModel(t *testing.T) {
	layers := setting.Assignment{Name: "network", Value: "layers: [flatten, linear: {out: classes}]"}
	c := DefaultConfig()
	if err := c.Apply(layers); err != nil || c.Model != "network" {
		t.Errorf("model %s (%v), want network", c.Model, err)
	}
	if err := c.Apply(layers, setting.Assignment{Name: "model", Value: "mine"}); err != nil || c.Model != "mine" || c.Network == "" {
		t.Errorf("model %s with network %q (%v), want mine", c.Model, c.Network, err)
	}
	err := c.Apply(layers, setting.Assignment{Name: "model", Value: "mine.yaml"})
	if want := "model is the file mine.yaml, but network describes one too: leave one out"; !errors.Is(err, trainer.ErrUsage) || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	if err := c.Apply(setting.Assignment{Name: "preset", Value: "small"}); err != nil || c.Model != "small" {
		t.Errorf("model %s (%v), want small", c.Model, err)
	}
}
