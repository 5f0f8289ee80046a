package study

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/checkpoint"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/model"
)

func TestCheckNamesTheSetting(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"batch-size":         func(c *Config) { c.BatchSize = 0 },
		"epochs is":          func(c *Config) { c.Epochs = -1 },
		"lr is":              func(c *Config) { c.LR = math.NaN() },
		"model is":           func(c *Config) { c.Model = "resnet" },
		"dropout is":         func(c *Config) { c.Dropout = new(1.) },
		"label-smoothing is": func(c *Config) { c.Smoothing = math.NaN() },
		"momentum is":        func(c *Config) { c.Momentum = -1 },
		"weight-decay is":    func(c *Config) { c.WeightDecay = new(math.Inf(1)) },
		"optimizer is":       func(c *Config) { c.Optimizer = "lion" },
		"crop is 29":         func(c *Config) { c.Crop = new(29) },
		"threads is":         func(c *Config) { c.Threads = -1 },
		"device and cpu":     func(c *Config) { c.Device, c.CPU = "0", true },
	} {
		c := DefaultConfig()
		change(&c)
		if err := c.Check(); !errors.Is(err, trainer.ErrUsage) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if c := DefaultConfig(); c.Check() != nil {
		t.Errorf("the defaults: %v", c.Check())
	}
}

func TestPresets(t *testing.T) {
	c := DefaultConfig()
	if err := c.ApplyPreset("alternative_shallow"); err != nil || c.Model != "alternative" || c.Augment != "original" {
		t.Errorf("%+v, %v", c, err)
	}
	if err := c.ApplyPreset("main"); !errors.Is(err, trainer.ErrUsage) || !strings.Contains(err.Error(), "main_no_aug") {
		t.Errorf("unknown preset: %v", err)
	}
}

func TestOwnPresets(t *testing.T) {
	for _, name := range PresetNames() {
		if _, ok := FindPreset(name); ok {
			continue
		}
		c, d := DefaultConfig(), DefaultConfig()
		if err := c.ApplyPreset(name); err != nil {
			t.Fatal(err)
		}
		if err := c.Check(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if c.Preset != name || c.RunName() != name {
			t.Errorf("%s is called %q and its runs %q", name, c.Preset, c.RunName())
		}
		if c.Epochs == d.Epochs && c.Optimizer == d.Optimizer {
			t.Errorf("%s trains as the default does", name)
		}
		adapted := DefaultConfig()
		err := adapted.ParseYAML("", []byte("epochs: 3\npreset: "+name))
		if err != nil || adapted.Epochs != 3 || adapted.Optimizer != c.Optimizer || adapted.Preset != name {
			t.Errorf("%s with other epochs: %d epochs of %s, preset %q, %v", name, adapted.Epochs, adapted.Optimizer, adapted.Preset, err)
		}
		if text, err := c.YAML(); err != nil {
			t.Error(err)
		} else if again := DefaultConfig(); again.ParseYAML("args.yaml", []byte(text)) != nil || again.mustYAML() != text {
			t.Errorf("%s: args.yaml does not repeat it:\n%s", name, text)
		}
	}
}

// A run's settings are those that it was trained with, even if its preset has changed or no
// longer exists.
func TestRecordedPresetChangesNothing(t *testing.T) {
	const text = "preset: fast\nmodel: fastcnn\nepochs: 8\n"
	now, recorded, want := DefaultConfig(), DefaultConfig(), DefaultConfig()
	if err := errors.Join(now.ParseYAML("", []byte(text)), recorded.ParseYAML("", []byte(text+"environment: {go: x}\n"))); err != nil {
		t.Fatal(err)
	}
	if now.Optimizer != "muon" || now.Prune == 0 || now.Epochs != 8 {
		t.Errorf("the preset as it is now, with 8 epochs: %+v", now)
	}
	want.Preset, want.Model, want.Epochs = "fast", "fastcnn", 8
	if recorded.mustYAML() != want.mustYAML() {
		t.Errorf("a run's settings are read as\n%s\nwant\n%s", recorded.mustYAML(), want.mustYAML())
	}
	gone := DefaultConfig()
	if err := gone.ParseYAML("", []byte("preset: gone\nepochs: 8\nenvironment: {go: x}\n")); err != nil || gone.Preset != "gone" || gone.Epochs != 8 || gone.Check() != nil {
		t.Errorf("a preset that no longer exists: %q with %d epochs, %v", gone.Preset, gone.Epochs, err)
	}
	if err := gone.ParseYAML("a.yaml", []byte("preset: ../gone\nenvironment: {go: x}\n")); err == nil || !strings.Contains(err.Error(), "a.yaml: line 1: preset") {
		t.Errorf("a path as the preset's name: %v", err)
	}
}

func writeYAML(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLoadYAML(t *testing.T) {
	c := DefaultConfig()
	if err := c.LoadYAML(writeYAML(t, "batch-size: 128\nlr: 0.01\ndevice: 0\nenvironment: {go: x}\n")); err != nil {
		t.Fatal(err)
	}
	if c.BatchSize != 128 || c.LR != .01 || c.Device != "0" || c.Epochs != 10 {
		t.Errorf("%+v", c)
	}
}

func TestLoadYAMLNamesFileAndLine(t *testing.T) {
	for text, want := range map[string]string{
		"epochs: 3\nbatch_size: 5\n": `line 2: unknown key "batch_size": did you mean "batch-size"?`,
		"colour: red\n":              `line 1: unknown key "colour": want one of`,
		"epochs: many\n":             `line 1: epochs is "many": want a whole number from 1`,
		"- epochs\n":                 "key: value",
		"epochs: [\n":                "line",
	} {
		c := DefaultConfig()
		path := writeYAML(t, text)
		err := c.LoadYAML(path)
		if !errors.Is(err, trainer.ErrUsage) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// What YAML writes, LoadYAML must read as the same settings.
func TestYAMLRoundTrip(t *testing.T) {
	c := DefaultConfig()
	c.Preset, c.Seed, c.LR, c.Device, c.NoShuffle = "main_no_aug", 1<<63, 1.0/3, "uuid", true
	text, err := c.YAML()
	if err != nil {
		t.Fatal(err)
	}
	var got Config
	if err := got.LoadYAML(writeYAML(t, text)); err != nil {
		t.Fatal(err)
	}
	c.Dropout, c.WeightDecay = new(model.DefaultDropout), new(0.) // which they are anyway
	if !reflect.DeepEqual(got, c) {
		t.Errorf("got %+v, want %+v", got, c)
	}
}

// A dropout that changes nothing is not recorded and makes no other recipe.
func TestDropoutWithoutEffect(t *testing.T) {
	for network, hasDropout := range map[string]bool{"fashioncnn": true, "resnet20": false,
		"layers: [flatten, {dropout: 0.1}, {linear: {out: classes}}]": true, "layers: [flatten, {linear: {out: classes}}]": false} {
		c := DefaultConfig()
		if c.Model = network; strings.HasPrefix(network, "layers") {
			c.Model, c.Network = "own", network
		}
		other := c
		other.Dropout = new(.75)
		if text := other.mustYAML(); strings.Contains(text, "dropout: 0.75") != hasDropout {
			t.Errorf("%s: the settings are recorded as\n%s", network, text)
		}
		if text := differences(c, other); (len(text) > 0) != hasDropout {
			t.Errorf("%s: the differences to another dropout are %q", network, text)
		}
	}
}

func TestNewFolderNumbersAndRefuses(t *testing.T) {
	c := DefaultConfig()
	c.Model, c.Out = "alternative", t.TempDir()
	for _, want := range []string{"alternative", "alternative-2"} {
		dir, err := NewFolder(c)
		if err != nil || filepath.Base(dir) != want {
			t.Errorf("%s, %v; want %s", dir, err, want)
		}
	}
	c.Name = "alternative"
	if dir, err := NewFolder(c); err != nil || filepath.Base(dir) != c.Name {
		t.Errorf("an empty folder, as a killed program leaves it: %s, %v", dir, err)
	}
	if err := os.WriteFile(filepath.Join(c.Out, c.Name, trainer.ArgsFile), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := NewFolder(c); !errors.Is(err, trainer.ErrUsage) {
		t.Errorf("a name that is taken: %v", err)
	}
}

func wantBadRun(t *testing.T, dir, say string) {
	t.Helper()
	_, err := ReadArgs(dir)
	if !errors.Is(err, checkpoint.ErrBadCheckpoint) || errors.Is(err, trainer.ErrUsage) || !strings.Contains(err.Error(), say) || strings.Contains(err.Error(), "\n") {
		t.Errorf("%s: %v, want one line with %q", dir, err, say)
	}
}
