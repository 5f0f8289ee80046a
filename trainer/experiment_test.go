package trainer

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestOriginalExperiment(t *testing.T) {
	e, err := OriginalExperiment([]uint64{42, 43})
	if err != nil || len(e.Groups) != 2 || len(e.Groups[0]) != 10 || len(e.Groups[1]) != 3 {
		t.Fatalf("%d groups (%v), want the presets twice, and three rates", len(e.Groups), err)
	}
	names := map[string]bool{}
	for _, group := range e.Groups {
		for _, c := range group {
			if names[c.Name] || c.SelectOn != "test" {
				t.Errorf("%s: twice, or not the original's protocol", c.Name)
			}
			names[c.Name] = true
		}
	}
	if c := e.Groups[1][0]; c.LR != .01 || c.Epochs != 5 || c.Seed != 42 || !names["main_no_aug-seed43"] {
		t.Errorf("%+v, %v", c, names)
	}
}

func TestLoadExperiment(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rates.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	write("base: {preset: main_no_aug, epochs: 5}\ngrid:\n  lr: [0.01, 0.001]\n  seed: [42, 43]\n")
	e, err := LoadExperiment(path)
	if err != nil || e.Name != "rates" || len(e.Groups) != 1 || len(e.Groups[0]) != 4 {
		t.Fatalf("%+v (%v)", e, err)
	}
	if c := e.Groups[0][1]; c.Name != "lr0.01-seed43" || c.LR != .01 || c.Seed != 43 || c.Epochs != 5 || c.Preset != "main_no_aug" {
		t.Errorf("second run: %+v", c)
	}
	for text, say := range map[string]string{
		"grid: {lr: 0.1}":        "line 1: lr: want a list",
		"grid: {speed: [1]}":     `unknown key "speed"`,
		"base: {epoch: 3}":       `did you mean "epochs"`,
		"grids: {lr: [1]}":       "grids",
		"grid: {lr: [0.1, 0.1]}": "twice in the grid",
		"grid: {lr: [-1]}":       "--lr is -1",
		"base: {preset: main}":   `unknown preset "main"`,
		"grid: [1]":              "grid: want lines",
		"base: {epochs: many}":   "many",
	} {
		write(text)
		if _, err := LoadExperiment(path); !errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), say) {
			t.Errorf("%s: %v, want a usage error with %q", text, err, say)
		}
	}
	if _, err := LoadExperiment(path + ".missing"); !errors.Is(err, ErrUsage) {
		t.Errorf("a missing file: %v", err)
	}
}

func TestStateOfRun(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	want := func(state RunState) {
		t.Helper()
		if got, err := StateOfRun(dir); got != state || err != nil {
			t.Errorf("state %v (%v), want %v", got, err, state)
		}
	}
	touch := func(name string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want(RunNew)
	touch("precious.txt")
	if _, err := StateOfRun(dir); !errors.Is(err, ErrUsage) {
		t.Errorf("a folder of something else: %v, want a usage error", err)
	}
	touch(ArgsFile)
	want(RunBroken)
	touch(stateFile)
	want(RunInProgress)
	touch(metricsFile)
	want(RunFinished)
}
