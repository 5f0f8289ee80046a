package study

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/checkpoint"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/metrics"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/setting"
)

// given returns an assignment of a source.
func given(source, name, value string) setting.Assignment {
	return setting.Assignment{Name: name, Value: value, Source: source}
}

func TestOriginalExperiment(t *testing.T) {
	e, err := OriginalExperiment(setting.Assignment{Name: "seed", Value: "42-43"})
	if err != nil || len(e.Groups) != 2 || len(e.Groups[0].Runs) != 10 || len(e.Groups[1].Runs) != 3 {
		t.Fatalf("%d groups (%v), want the presets twice, and three rates", len(e.Groups), err)
	}
	names := map[string]bool{}
	for _, group := range e.Groups {
		for _, c := range group.Runs {
			if names[c.Name] || c.SelectOn != "test" {
				t.Errorf("%s: twice, or not the original's protocol", c.Name)
			}
			names[c.Name] = true
		}
	}
	if _, err := OriginalExperiment(setting.Assignment{Name: "seed", Value: "42,43,42"}); !errors.Is(err, trainer.ErrUsage) || !strings.Contains(err.Error(), "main_no_aug-seed42") {
		t.Errorf("one seed twice: %v, want a usage error that names the run", err)
	}
	if c := e.Groups[1].Runs[0]; c.LR != .01 || c.Epochs != 5 || c.Seed != 42 || !names["main_no_aug-seed43"] {
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
	if err != nil || e.Name != "rates" || len(e.Groups) != 1 || len(e.Groups[0].Runs) != 4 {
		t.Fatalf("%+v (%v)", e, err)
	}
	if c := e.Groups[0].Runs[1]; c.Name != "lr0.01-seed43" || c.LR != .01 || c.Seed != 43 || c.Epochs != 5 || c.Preset != "main_no_aug" {
		t.Errorf("second run: %+v", c)
	}
	if _, err := LoadExperiment(path + ".missing"); !errors.Is(err, trainer.ErrUsage) {
		t.Errorf("a missing file: %v", err)
	}
}

func TestExperimentRefuses(t *testing.T) {
	for text, say := range map[string]string{
		"grid: {lr: 0.1}":                "line 1: lr: want a list",
		"grid: {lr: []}":                 "line 1: lr: want a list",
		"grid: {lr: {a: 1}}":             "line 1: lr: want a list",
		"grid: {speed: [1]}":             `line 1: unknown key "speed"`,
		"base: {epoch: 3}":               `line 1: unknown key "epoch": did you mean "epochs"`,
		"grids: {lr: [1]}":               `line 1: unknown key "grids": did you mean "grid"?`,
		"base: {}\nlr: 0.1":              "line 2: lr is outside base, grid and variants: indent it",
		"grid: {lr: [0.1, 0.1]}":         "a value is given twice",
		"grid: {warmup: [0, 11]}":        "rates.yml: warmup11: warmup is 11: want at most the number of epochs, 10",
		"grid: {lr: [0.1, 1e-1]}":        "lr0.1 and lr1e-1 are the same training",
		"grid: {seed: [1, 0-2]}":         "a value is given twice",
		"grid: {select-on: [val, test]}": "val and on test cannot be compared",
		"grid: {dataset: [a, b]}":        "runs on different datasets or image sizes cannot be compared",
		"grid: {image-size: [28, 32]}":   "runs on different datasets or image sizes cannot be compared",
		"grid: {threads: [1, 2]}":        "line 1: threads cannot be set here, since it does not belong to the trainings: set it where they are started",
		"base: {quiet: true}":            "line 1: experiments have no quiet",
		"base: {cpu: true}":              "line 1: cpu cannot be set here",
		"base: [model]":                  "line 1: base: want lines",
		"base: hello":                    "line 1: base: want lines",
		"base: {lr: [0.1, 0.2]}":         "line 1: lr is a list: want a positive number up to 1000, such as 0.001, or move the list under grid",
		"base:\n  lr: 0.1\n  lr: 0.2":    `line 3: "lr" is given twice, first on line 2`,
		"grid: {lr: [-1]}":               "line 1: lr is -1",
		"grid:\n  lr:\n  - 0.1\n  - x":   `line 4: lr is "x": want a positive number`,
		"grid: {epochs: [1, 2.5]}":       "line 1: epochs is 2.5: want a whole number",
		"grid: {epochs: [1, null]}":      "line 1: epochs has no value",
		"grid: {seed: [[1]]}":            "line 1: seed is a list: want whole numbers and ranges",
		"grid: {seed: 9-0}":              `line 1: seed is "9-0": want whole numbers and ranges such as 42,43 or 0-9`,
		"base: {seed: -1}":               "line 1: seed is -1: want whole numbers and ranges",
		"base: {seed: 1.5}":              "line 1: seed is 1.5: want whole numbers and ranges",
		"base: {preset: main}":           `line 1: preset is "main": want main_no_aug`,
		"":                               "is empty: want base",
		"# nothing yet":                  "is empty: want base",
		"grid: [1]":                      "grid: want lines",
		"base: {epochs: many}":           `line 1: epochs is "many": want a whole number`,
		"name: [a]":                      "line 1: name is a list: want a name",
		"name:":                          "line 1: name has no value: want a name",
		"name: ../up":                    `the experiment's name is "../up": want a name`,
		"name: ..":                       `the experiment's name is "..": want a name`,
		"[1]":                            "line 1: found a list: want lines",
		"grid: {seed: 0-999, crop: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]}": "the lists combine to more than 10000 runs",
	} {
		_, err := ParseExperiment("rates.yml", []byte(text))
		if !errors.Is(err, trainer.ErrUsage) || !strings.HasPrefix(err.Error(), "rates.yml: ") || !strings.Contains(err.Error(), say) {
			t.Errorf("%s: %v, want a usage error with %q", text, err, say)
		}
		for _, word := range jargon {
			if err != nil && strings.Contains(err.Error(), word) {
				t.Errorf("%s: %v says %q", text, err, word)
			}
		}
	}
}

// names lists the runs of an experiment.
func (e Experiment) names() string {
	var list []string
	for _, g := range e.Groups {
		for _, c := range g.Runs {
			list = append(list, c.Name)
		}
	}
	return strings.Join(list, " ")
}

// Seeds may be ranges in base and grid, and vary fastest if they are in base.
func TestExperimentSeeds(t *testing.T) {
	for text, want := range map[string]string{
		"grid: {seed: 0-2}":                         "seed0 seed1 seed2",
		"grid: {seed: [7, 0-1]}":                    "seed7 seed0 seed1",
		"grid: {seed: 7}":                           "seed7",
		`grid: {seed: "0-1, 5"}`:                    "seed0 seed1 seed5",
		"base: {seed: 0-1}":                         "seed0 seed1",
		"base: {seed: 3-4}\ngrid: {lr: [0.1, 0.2]}": "lr0.1-seed3 lr0.1-seed4 lr0.2-seed3 lr0.2-seed4",
		"base: {seed: [3, 4]}":                      "seed3 seed4",
		"base: {seed: 3}":                           "fashioncnn",
		"base: {seed: 3}\ngrid: {seed: [1, 2]}":     "seed1 seed2",
		"base: {seed: 3-4}\ngrid: {seed: [1, 2]}":   "seed1 seed2",
		"base:\ngrid:\n":                            "fashioncnn",
	} {
		e, err := ParseExperiment("x.yaml", []byte(text))
		if err != nil || e.names() != want {
			t.Errorf("%q: %q (%v), want %q", text, e.names(), err, want)
			continue
		}
		for _, c := range e.Groups[0].Runs {
			if c.Seed != 42 && !strings.Contains(c.Name, fmt.Sprint("seed", c.Seed)) && c.Seed != 3 {
				t.Errorf("%q: %s has seed %d", text, c.Name, c.Seed)
			}
		}
	}
}

// Each variant changes some settings of base, and is combined with the grid.
func TestExperimentVariants(t *testing.T) {
	const text = `
base: {preset: fast, epochs: 5}
variants:
  - {}
  -
  - {optimizer: sgd, lr: 0.1}
  - {name: wide, model: "nets/wide.yaml", epochs: 7}
grid: {prune: [0, 0.4], seed: 1-2}
`
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "nets"), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "nets", "wide.yaml"), []byte("layers: [flatten, linear: {out: classes}]"), 0o666); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "x.yaml")
	once := strings.Replace(text, "  -\n", "", 1)
	e, err := ParseExperiment(file, []byte(once))
	const grid = "prune0-seed1 prune0-seed2 prune0.4-seed1 prune0.4-seed2"
	sgd := "optimizersgd-lr0.1-"
	want := grid + " " + sgd + strings.ReplaceAll(grid, " ", " "+sgd) + " wide-" + strings.ReplaceAll(grid, " ", " wide-")
	if err != nil || e.names() != want {
		t.Fatalf("%q (%v), want %q", e.names(), err, want)
	}
	base, changed, wide := e.Groups[0].Runs[0], e.Groups[0].Runs[5], e.Groups[0].Runs[11]
	if base.Optimizer != "muon" || base.LR != .01 || base.Epochs != 5 || base.Seed != 1 {
		t.Errorf("the variant that changes nothing: %+v", base)
	}
	if changed.Optimizer != "sgd" || changed.LR != .1 || changed.Epochs != 5 || changed.Seed != 2 || changed.Prune != 0 {
		t.Errorf("the variant of two settings: %+v", changed)
	}
	if wide.Model != "wide" || wide.Network == "" || wide.Epochs != 7 || wide.Prune != .4 {
		t.Errorf("the variant with a name: %+v", wide)
	}
	e, err = ParseExperiment(file, []byte(once), given("--set", "epochs", "1"), given("--set", "optimizer", "adam"), given("--set", "seed", "3"), given("--set", "prune", "0.2"))
	if err != nil || e.names() != "seed3 lr0.1-seed3 wide-seed3" || e.Groups[0].Runs[2].Epochs != 1 || e.Groups[0].Runs[1].Optimizer != "adam" {
		t.Errorf("with other settings: %q (%v)", e.names(), err)
	}
	for text, say := range map[string]string{
		text: "two runs are named prune0-seed1: a value is given twice, or two networks or variants have one name",
		"variants: [{name: a}, {name: a, lr: 1}]":               "two runs are named a",
		"variants: [{init: " + strings.Repeat("a/", 150) + "}]": "has more than 200 bytes: give the run's variant a name",
		"variants: {lr: 0.1}":                                   `variants: want a list of settings, such as "- {optimizer: sgd, lr: 0.1}"`,
		"variants: []":                                          "variants: want a list",
		"variants: [0.1]":                                       "variants: want a list",
		"variants: [{lr: fast}]":                                `lr is "fast": want a positive number`,
		"variants: [{lr: [1, 2]}]":                              "lr is a list: want a positive number up to 1000, such as 0.001, or move the list under grid",
		"variants: [{speed: 1}]":                                `unknown key "speed"`,
		"variants: [{device: 0}]":                               "device cannot be set here",
		"variants: [{seed: 1}]":                                 "all variants have the same seeds",
		"variants: [{lr: 1}]\ngrid: {lr: [1, 2]}":               "lr has values under grid too",
		"variants: [{network: 'layers: [flatten]'}]":            "needs a name",
		"grid: {network: ['layers: [flatten]']}":                "networks need names to be told apart",
		"grid: {seed: 0-999, crop: [0, 1, 2, 3, 4, 5]}\nvariants: [{}, {lr: 1}]": "more than 10000 runs",
	} {
		if _, err := ParseExperiment(file, []byte(text)); !errors.Is(err, trainer.ErrUsage) || !strings.Contains(err.Error(), say) {
			t.Errorf("%s: %v, want a usage error with %q", text, err, say)
		}
	}
}

// Of two presets the last one counts, a model replaces a network of base, and variants
// that overrides make equal are one.
func TestVariantsAndOthers(t *testing.T) {
	parse := func(text string, overrides ...setting.Assignment) []Config {
		t.Helper()
		e, err := ParseExperiment("x.yaml", []byte(text), overrides...)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		return e.Groups[0].Runs
	}
	small := DefaultConfig()
	if err := small.ApplyPreset("small"); err != nil {
		t.Fatal(err)
	}
	small.Name, small.Epochs = "s", 2
	runs := parse("base: {preset: fast, epochs: 2}\nvariants: [{}, {name: s, preset: small}]")
	if got := runs[1].mustYAML(); got != small.mustYAML() {
		t.Errorf("the preset of a variant gives\n%s\nwant\n%s", got, small.mustYAML())
	}
	const network = "base: {model: mine, network: 'layers: [flatten, linear: {out: classes}]'}\n"
	for _, list := range [][]Config{parse(network + "variants: [{}, {model: logistic}]"), parse(network + "grid: {model: [fastcnn, logistic]}"),
		parse(network, given("--set", "model", "logistic")),
		parse("variants: [{name: x, network: 'layers: [flatten, linear: {out: classes}]'}]", given("--set", "model", "logistic"))} {
		if last := list[len(list)-1]; last.Model != "logistic" || last.Network != "" {
			t.Errorf("model %s has the network %q", last.Model, last.Network)
		}
	}
	const text = "base: {preset: fast, seed: 0}\nvariants: [{}, {label-smoothing: 0}, {name: sgd, optimizer: sgd, label-smoothing: 0.2}]"
	if runs := parse(text, given("--set", "label-smoothing", "0.05")); len(runs) != 2 || runs[1].Name != "sgd" || runs[1].Smoothing != .05 {
		t.Errorf("with one value for all: %v", runs)
	}
	if runs := parse(text, given("--set", "name", "x"), given("--seeds", "seed", "4-5")); len(runs) != 6 || runs[4].Name != "x-optimizersgd-label-smoothing0.2-seed4" {
		t.Errorf("with one name for all: %v", runs)
	}
}

// An override replaces the file's values, in base and grid.
func TestExperimentOverrides(t *testing.T) {
	const text = "base: {model: logistic, epochs: 5}\ngrid:\n  lr: [0.1, 0.2]\n  seed: [1, 2]\n"
	set := func(name, value string) setting.Assignment { return given("--set", name, value) }
	for _, c := range []struct {
		overrides []setting.Assignment
		names     string
	}{
		{[]setting.Assignment{set("seed", "5-6")}, "lr0.1-seed5 lr0.1-seed6 lr0.2-seed5 lr0.2-seed6"},
		{[]setting.Assignment{set("lr", "0.3")}, "seed1 seed2"},
		{[]setting.Assignment{set("epochs", "2"), set("seed", "9"), set("lr", "0.5"), set("lr", "0.3")}, "seed9"},
		{[]setting.Assignment{set("max-steps", "3"), set("seed", "9")}, "lr0.1-seed9 lr0.2-seed9"},
	} {
		e, err := ParseExperiment("x.yaml", []byte(text), c.overrides...)
		if err != nil || e.names() != c.names {
			t.Errorf("%v: %q (%v), want %q", c.overrides, e.names(), err, c.names)
			continue
		}
		for _, o := range c.overrides {
			last := o
			for _, p := range c.overrides {
				if p.Name == o.Name {
					last = p
				}
			}
			if got := e.Groups[0].Runs[0].Value(o.Name); o.Name != "seed" && got != last.Value {
				t.Errorf("%v: %s is %s", c.overrides, o.Name, got)
			}
		}
	}
	for _, c := range []struct {
		override setting.Assignment
		say      string
	}{
		{set("lr", "abc"), `--set: lr is "abc": want a positive number`},
		{set("epoch", "3"), `--set: unknown key "epoch": did you mean "epochs"?`},
		{set("cpu", "true"), "--set: cpu cannot be set here, since it does not belong to the trainings: set it where"},
		{given("--seeds", "seed", "1-"), `--seeds: seed is "1-": want whole numbers and ranges`},
	} {
		if _, err := ParseExperiment("x.yaml", []byte(text), c.override); !errors.Is(err, trainer.ErrUsage) || !strings.Contains(err.Error(), c.say) {
			t.Errorf("%v: %v, want %q", c.override, err, c.say)
		}
		if _, err := OriginalExperiment(c.override); !errors.Is(err, trainer.ErrUsage) || (!strings.Contains(err.Error(), c.say) && c.override.Name != "lr") {
			t.Errorf("original with %v: %v, want %q", c.override, err, c.say)
		}
	}
}

// The original's study can be shortened, but not turned into another study.
func TestOriginalOverrides(t *testing.T) {
	e, err := OriginalExperiment(given("--max-steps", "max-steps", "3"), given("--select-on", "select-on", "val"), given("--precision", "precision", "mixed"))
	if err != nil || e.Name != "original-val-mixed" {
		t.Fatalf("%q (%v)", e.Name, err)
	}
	for _, g := range e.Groups {
		for _, c := range g.Runs {
			if c.MaxSteps != 3 || c.SelectOn != "val" || c.Precision != "mixed" || c.Seed != 42 {
				t.Errorf("%+v", c)
			}
		}
	}
	for _, key := range originalKeys {
		if _, err := OriginalExperiment(given("--set", key, "x")); !errors.Is(err, trainer.ErrUsage) || !strings.Contains(err.Error(), "--set: the experiment original sets "+key+" itself") {
			t.Errorf("%s: %v", key, err)
		}
	}
}

// runsNamed returns an experiment whose runs are never trained.
func runsNamed(groups ...[]string) Experiment {
	e := Experiment{Name: "made"}
	for i, names := range groups {
		g := Group{Name: fmt.Sprint("group ", i)}
		for _, name := range names {
			g.Runs = append(g.Runs, Config{Name: name})
		}
		e.Groups = append(e.Groups, g)
	}
	return e
}

// singly returns batches of one run.
func singly(names ...string) [][]Config {
	var batches [][]Config
	for _, name := range names {
		batches = append(batches, []Config{{Name: name}})
	}
	return batches
}

// Every run is trained once, with as many at a time as there are workers and one
// per worker. A training that diverges does not affect the others.
func TestEach(t *testing.T) {
	batches := singly("a", "b", "c", "d", "e", "f")
	const workers = 3
	var busy [workers]atomic.Int32
	var together sync.WaitGroup
	together.Add(workers)
	var lock sync.Mutex
	trained := map[string]int{}
	err := each(context.Background(), workers, batches, func(_ context.Context, worker int, runs []Config) error {
		if busy[worker].Add(1) != 1 {
			t.Errorf("worker %d trains twice at a time", worker)
		}
		defer busy[worker].Add(-1)
		lock.Lock()
		name := runs[0].Name
		trained[name]++
		first := len(trained) <= workers
		lock.Unlock()
		if first { // ends only if all workers are in here together
			together.Done()
			together.Wait()
		}
		if name == "b" || name == "e" {
			return fmt.Errorf("%s: %w: too fast", name, trainer.ErrDiverged)
		}
		if name == "c" {
			return &trainer.LockedError{Dir: name, Who: "training"}
		}
		return nil
	})
	if !errors.Is(err, trainer.ErrDiverged) || !strings.Contains(err.Error(), "b: ") || !strings.Contains(err.Error(), "e: ") {
		t.Errorf("the error is %v, want both diverged runs", err)
	}
	if !errors.As(err, new(*trainer.LockedError)) {
		t.Errorf("the error is %v, want the run that is trained elsewhere too", err)
	}
	if len(trained) != 6 || slices.Max(slices.Collect(maps.Values(trained))) != 1 {
		t.Errorf("trained %v, want each once", trained)
	}
}

// Any other error ends all trainings and is reported, rather than the errors of
// the trainings that it interrupted. An interruption ends them too.
func TestEachEnds(t *testing.T) {
	batches := singly("a", "b", "c", "d")
	broken := errors.New("disk full")
	trained := atomic.Int32{}
	err := each(context.Background(), 2, batches, func(ctx context.Context, _ int, runs []Config) error {
		trained.Add(1)
		if runs[0].Name == "a" {
			return broken
		}
		<-ctx.Done()
		return trainer.ErrInterrupted
	})
	if !errors.Is(err, broken) || trained.Load() > 2 {
		t.Errorf("%d trained, error %v", trained.Load(), err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	err = each(ctx, 1, batches, func(context.Context, int, []Config) error { cancel(); return nil })
	if !errors.Is(err, trainer.ErrInterrupted) {
		t.Errorf("cancelled between two runs: %v, want an interruption", err)
	}
}

// An experiment's folder lists its groups; more seeds join them, and another
// experiment is refused.
func TestExperimentFolder(t *testing.T) {
	dir := t.TempDir()
	write := func(e Experiment) {
		t.Helper()
		if err := e.WriteIndex(dir, "v1"); err != nil {
			t.Fatal(err)
		}
	}
	write(runsNamed([]string{"a", "b"}, []string{"c"}))
	if _, err := ReadGroups([]string{dir}); !errors.Is(err, trainer.ErrUsage) || !strings.Contains(err.Error(), "no run of the experiment made is finished") {
		t.Errorf("nothing is finished: %v", err)
	}
	write(runsNamed([]string{"b", "d"}))
	for _, name := range []string{"a", "c", "d"} {
		finishedRun(t, filepath.Join(dir, name))
	}
	groups, err := ReadGroups([]string{dir})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, g := range groups {
		got = append(got, g.Name+":")
		for _, r := range g.Runs {
			got = append(got, r.Name())
		}
	}
	if want := "group 0: a d group 1: c"; strings.Join(got, " ") != want {
		t.Errorf("groups %v, want %s", got, want)
	}
	if left := groups[0].Unfinished; !slices.Equal(left, []string{"b"}) {
		t.Errorf("left out: %v, want b", left)
	}
	other := runsNamed([]string{"x"})
	other.Name = "other"
	if err := other.WriteIndex(dir, "v1"); !errors.Is(err, trainer.ErrUsage) || !strings.Contains(err.Error(), "holds the experiment made") {
		t.Errorf("another experiment: %v", err)
	}
	if groups, err = ReadGroups([]string{filepath.Join(dir, "a"), filepath.Join(dir, "d")}); err != nil || len(groups) != 1 || len(groups[0].Runs) != 2 {
		t.Errorf("two folders by name: %+v (%v)", groups, err)
	}
}

// A folder's finished run is accepted for a training only if it is the same
// training, regardless of where it ran.
func TestCheckRun(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run[1]")
	finishedRun(t, dir)
	c := DefaultConfig()
	c.Out, c.Name, c.CPU, c.Threads = "elsewhere", "other", true, 3
	if err := CheckRun(dir, c); err != nil {
		t.Errorf("the same training: %v", err)
	}
	c.Epochs, c.Seed = 20, 43
	if err := CheckRun(dir, c); !errors.Is(err, trainer.ErrUsage) || !strings.Contains(err.Error(), "(epochs: 10, seed: 42)") {
		t.Errorf("another training: %v, want a usage error that says what the folder's had", err)
	}
}

// Runs are found in any folder, those that are not finished are named, and anything
// else is skipped.
func TestFindRuns(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "all [runs]")
	finishedRun(t, filepath.Join(dir, "a"))
	finishedRun(t, filepath.Join(dir, "evaluation"))
	finishedRun(t, filepath.Join(dir, "broken"))
	for _, name := range []string{"evaluation/" + trainer.ArgsFile, "broken/" + trainer.MetricsFile} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if found, left, err := FindRuns([]string{dir}); err != nil || len(found) != 1 || filepath.Base(found[0]) != "a" || fmt.Sprint(left) != "[broken]" {
		t.Errorf("%v, and unfinished %v (%v), want a alone and broken", found, left, err)
	}
	for _, wrong := range []string{filepath.Join(dir, "a", trainer.ArgsFile), filepath.Join(dir, "none"), t.TempDir()} {
		if _, err := ReadGroups([]string{wrong}); !errors.Is(err, trainer.ErrUsage) || !strings.Contains(err.Error(), "not a run's folder") {
			t.Errorf("%s: %v, want a usage error", wrong, err)
		}
	}
}

const resultsFile = "results.csv" // of a run

// finishedRun writes the files of a run with two test images and one epoch.
func finishedRun(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	labels, probs := []byte{0, 1}, make([]float32, 20)
	probs[0], probs[10] = 1, 1
	m, err := metrics.Compute(labels, probs, dataset.FashionMNIST.Classes)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) error { return os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666) }
	if err := errors.Join(write(trainer.ArgsFile, DefaultConfig().mustYAML()+"environment: {device: abacus}\n"),
		metrics.WritePredictions(filepath.Join(dir, trainer.PredictionsFile), nil, labels, probs),
		write(resultsFile, "epoch,train_loss,val_loss,val_accuracy,lr,seconds,images_per_second,train_accuracy\n1,0,0,0.5,0,0.000,0.0,0.75\n"),
		m.Write(filepath.Join(dir, trainer.MetricsFile))); err != nil {
		t.Fatal(err)
	}
}

// A run's files are read back, even if an older version left out a column.
func TestReadRun(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	finishedRun(t, dir)
	r, err := ReadRun(dir)
	if err != nil {
		t.Fatal(err)
	}
	if r.Name() != "run" || r.Environment.Device != "abacus" || r.Metrics.Accuracy != .5 || r.BestEpoch() != 1 ||
		len(r.Epochs) != 1 || r.Epochs[0].ValAccuracy != .5 || r.Epochs[0].TrainAccuracy != .75 || !slices.Equal(r.Right, []bool{true, false}) {
		t.Errorf("%+v", r)
	}
	old := "epoch,train_loss,val_loss,val_accuracy,lr,seconds,images_per_second\n1,2,3,0.5,0.001,1,60000\n"
	if err := os.WriteFile(filepath.Join(dir, resultsFile), []byte(old), 0o666); err != nil {
		t.Fatal(err)
	}
	if r, err = ReadRun(dir); err != nil || r.Epochs[0].ValLoss != 3 || !math.IsNaN(r.Epochs[0].TrainAccuracy) {
		t.Errorf("%+v (%v), want no training accuracy", r, err)
	}
	for _, c := range []struct{ file, damaged string }{{resultsFile, ""}, {resultsFile, "epoch,lr\n1\n"}, {trainer.ArgsFile, ""}, {trainer.ArgsFile, "environment: {a: , a: }\n"},
		{trainer.MetricsFile, `{"accuracy":`}, {trainer.PredictionsFile, ""}, {trainer.PredictionsFile, "index,label,predicted\n0,1\n"}, {trainer.PredictionsFile, "index,label,predicted\n0,1,1\n"}} {
		wantDamaged(t, dir, c.file, c.damaged)
	}
	path := filepath.Join(dir, trainer.PredictionsFile)
	if err := os.Rename(path, path+"0"); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadRun(dir); !errors.Is(err, checkpoint.ErrBadCheckpoint) || !strings.Contains(err.Error(), path) {
		t.Errorf("without predictions: %v", err)
	}
	if err := os.Remove(filepath.Join(dir, trainer.MetricsFile)); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadRun(dir); !errors.Is(err, trainer.ErrUsage) || !strings.Contains(err.Error(), "not a finished run") {
		t.Errorf("without metrics: %v", err)
	}
}

// wantDamaged checks what ReadRun says of a run with another text in one of its files, and
// puts the file back.
func wantDamaged(t *testing.T, dir, file, text string) {
	t.Helper()
	path := filepath.Join(dir, file)
	whole, err := os.ReadFile(path)
	if err := errors.Join(err, os.WriteFile(path, []byte(text), 0o666)); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadRun(dir); !errors.Is(err, checkpoint.ErrBadCheckpoint) || errors.Is(err, trainer.ErrUsage) ||
		!strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "; restore ") || strings.Contains(err.Error(), "\n") {
		t.Errorf("%q in %s: %v, want one line that names the file and a remedy", text, file, err)
	}
	if err := os.WriteFile(path, whole, 0o666); err != nil {
		t.Fatal(err)
	}
}

// Each of the original's conclusions is confirmed, refuted or not shown,
// regardless of the order of the two trainings in the comparison.
func TestFindings(t *testing.T) {
	var runs []*Run
	for seed := range uint64(4) {
		noise := float64(seed%3) / 1000
		runs = append(runs, invented("main_no_aug", seed, .92+noise), invented("main_aug_dropout", seed, .89-noise),
			invented("main_no_dropout", seed, .89+2*noise), invented("alternative_shallow", seed, .91+noise))
	}
	c := compare(t, runs...)
	var got []string
	for _, f := range c.Findings {
		got = append(got, f.Claim+": "+f.Verdict)
	}
	want := []string{"augmentation hurts: confirmed", "dropout hurts: not shown", "deeper beats shallow: refuted"}
	if !slices.Equal(got, want) {
		t.Fatalf("%v, want %v", got, want)
	}
	if w := c.Findings[2].Words; !strings.HasPrefix(w, "-2.") || !strings.Contains(w, "interval -") || !strings.Contains(w, "effect size") {
		t.Errorf("the refuted finding says %q, want a negative difference and interval", w)
	}
	short := []*Run{invented("main_no_aug", 1, .9), invented("main_aug_dropout", 1, .8)}
	if f := compare(t, short...).Findings; len(f) != 1 || strings.Contains(f[0].Words, "Holm") {
		t.Errorf("one comparison: %+v, want one finding without a correction", f)
	}
	for _, r := range short {
		r.Config.Epochs = 1
	}
	if f := compare(t, short...).Findings; f != nil {
		t.Errorf("trainings of one epoch: %+v, want nothing about the original's", f)
	}
	if c := compare(t, invented("main_no_aug", 1, .9), invented("baseline_logistic", 1, .6)); c.Findings != nil {
		t.Errorf("without both trainings of a finding: %+v", c.Findings)
	}
}

// A preset is the original's training only with all of its settings.
func TestIsPreset(t *testing.T) {
	c := DefaultConfig()
	if _, ok := c.IsPreset(); ok {
		t.Error("settings of no preset are one")
	}
	if err := c.ApplyPreset("main_aug_dropout"); err != nil {
		t.Fatal(err)
	}
	c.Seed, c.SelectOn, c.Precision, c.Out, c.Threads = 7, "test", "mixed", "elsewhere", 3
	if p, ok := c.IsPreset(); !ok || p.Name != "main_aug_dropout" {
		t.Errorf("%v, %v: another seed, protocol and place make another training", p, ok)
	}
	c.LR = .01
	if _, ok := c.IsPreset(); ok {
		t.Error("another learning rate is the original's training")
	}
}
