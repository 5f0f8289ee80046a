package study

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/cpuref"
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset/datasettest"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/model"
)

func openBackend(t *testing.T) kernels.Backend {
	t.Helper()
	b, err := cpuref.Open(cpuref.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// tiny describes the images of a dataset whose pictures are soon drawn.
var tiny = dataset.Info{Name: "tiny", Classes: []string{"high", "low"}, Shape: dataset.Shape{H: 8, W: 6, C: 1}}

func tinyData() *dataset.Dataset { return datasettest.StripesOf(tiny, 40) }

// quick returns a training of two steps per epoch on tinyData.
func quick() Config {
	c := DefaultConfig()
	c.Model, c.Epochs, c.BatchSize, c.SelectOn = "logistic", 1, 20, "test"
	return c
}

func train(t *testing.T, c Config, o trainer.Options) (*trainer.Result, error) {
	t.Helper()
	return Train(t.Context(), c, tinyData(), openBackend(t), o)
}

// A run's settings hold absolute paths, so that it can be resumed from any
// folder.
func TestPathsAreAbsolute(t *testing.T) {
	c := quick()
	dir := t.TempDir()
	first, err := train(t, c, trainer.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Model.Save(filepath.Join(dir, "first.safetensors")); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	c.DataDir, c.Dataset, c.InitFrom = "data", "pictures", "first.safetensors"
	data := tinyData()
	data.Dir, data.SHA256 = "data", map[string]string{"train": "c0ffee"}
	if _, err := Train(t.Context(), c, data, openBackend(t), trainer.Options{NoPictures: true, Dir: "second", Environment: trainer.Environment{Device: "abacus"}}); err != nil {
		t.Fatal(err)
	}
	had, err := ReadArgs("second")
	if err != nil {
		t.Fatal(err)
	}
	if had.DataDir != filepath.Join(dir, "data") || had.Dataset != filepath.Join(dir, "pictures") || had.InitFrom != filepath.Join(dir, "first.safetensors") {
		t.Errorf("data-dir %s, dataset %s, init %s", had.DataDir, had.Dataset, had.InitFrom)
	}
	if run, err := ReadRun("second"); err != nil || run.Environment.Device != "abacus" || run.Environment.Data != had.DataDir || run.Environment.SHA256["train"] != "c0ffee" {
		t.Errorf("environment %+v (%v)", run.Environment, err)
	}
	if err := CheckRun("second", c); err != nil {
		t.Errorf("the same training, with relative paths: %v", err)
	}
	had.Epochs, had.InitFrom = 2, ""
	t.Chdir(t.TempDir())
	if r, err := train(t, had, trainer.Options{NoPictures: true, Dir: filepath.Join(dir, "second"), Resume: true}); err != nil || len(r.Epochs) != 2 {
		t.Errorf("resumed elsewhere: %v", err)
	}
}

// A run of [trainer.Train] has no settings but its recipe and network. It is read,
// compared and resumed like any other.
func TestRunWithoutSettings(t *testing.T) {
	own, err := trainer.ParseNetwork("own.yaml", []byte("layers: [flatten, linear: {out: 12}, relu, dropout: 0.4, linear: {out: classes}]"), tiny)
	if err != nil {
		t.Fatal(err)
	}
	layers, err := own.YAML()
	if err != nil {
		t.Fatal(err)
	}
	builtIn, err := trainer.BuiltIn("logistic", tiny)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []model.Network{builtIn, own} {
		want := quick()
		if n.Name == own.Name {
			want.Model, want.Network = own.Name, layers
		}
		want.Momentum, want.Flip = .3, new("random")
		o := trainer.Options{NoPictures: true, Dir: filepath.Join(t.TempDir(), "run")}
		if _, err := trainer.Train(t.Context(), want.Recipe, n, tinyData(), openBackend(t), o); err != nil {
			t.Fatal(err)
		}
		had, err := ReadArgs(o.Dir)
		if err != nil {
			t.Fatal(err)
		}
		want.Recipe = want.Recipe.Resolved()
		for _, s := range trainer.RecipeSettings() {
			if had.Value(s.Name) != want.Value(s.Name) {
				t.Errorf("%s: %s is %s, want %s", n.Name, s.Name, had.Value(s.Name), want.Value(s.Name))
			}
		}
		if err := CheckRun(o.Dir, want); err != nil {
			t.Errorf("%s: %v", n.Name, err)
		}
		rebuilt, err := had.BuildNetwork(tiny)
		if err != nil {
			t.Fatal(err)
		}
		a, err1 := rebuilt.YAML()
		b, err2 := n.YAML()
		if a != b || rebuilt.Name != n.Name || err1 != nil || err2 != nil {
			t.Errorf("%s: the network %s is read as\n%s, want\n%s", n.Name, rebuilt.Name, a, b)
		}
		if run, err := ReadRun(o.Dir); err != nil || len(run.Epochs) != 1 {
			t.Errorf("%s: %v", n.Name, err)
		}
		o.Resume, had.Epochs = true, 2
		if r, err := train(t, had, o); err != nil || len(r.Epochs) != 2 {
			t.Errorf("%s, resumed: %v", n.Name, err)
		}
		if again, err := ReadArgs(o.Dir); err != nil || again.Epochs != 2 {
			t.Errorf("%s: %d epochs (%v), want 2", n.Name, again.Epochs, err)
		}
	}
}

// Settings that a damaged args.yaml has lost would be the defaults; keys that no
// setting has are refused, too.
func TestDamagedArgs(t *testing.T) {
	dir := t.TempDir()
	finishedRun(t, dir)
	path := filepath.Join(dir, trainer.ArgsFile)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := ReadArgs(dir); err != nil || c.Epochs != 10 {
		t.Fatalf("%+v (%v)", c, err)
	}
	for _, text := range []string{"", string(whole[:len(whole)/2]), "no-such-key: 1\n" + string(whole), "- list\n", "\x00\xff"} {
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		wantBadRun(t, dir, path)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	wantBadRun(t, dir, trainer.ArgsFile)
	wantBadRun(t, filepath.Join(dir, trainer.MetricsFile), "is a file")
}

// An experiment's runs are trained by its workers, each in its own folder, and not
// again once they are finished.
func TestRunner(t *testing.T) {
	e := Experiment{Name: "seeds", Groups: []Group{{Name: "seeds"}}}
	for _, name := range []string{"a", "b"} {
		c := quick()
		c.Name, c.Seed = name, uint64(name[0])
		e.Groups[0].Runs = append(e.Groups[0].Runs, c)
	}
	data := tinyData()
	data.SHA256 = map[string]string{"classes": "own"}
	dir := t.TempDir()
	if err := e.WriteIndex(dir, "v1"); err != nil {
		t.Fatal(err)
	}
	var lock sync.Mutex
	found := map[string]trainer.RunState{}
	ended := map[string]bool{} // and whether anything was trained
	r := Runner{Dir: dir, Data: data, Begin: func(c Config, dir string, state trainer.RunState) (trainer.Progress, func(*trainer.Result) error) {
		lock.Lock()
		defer lock.Unlock()
		found[c.Name] = state
		if filepath.Base(dir) != c.Name {
			t.Errorf("%s runs in %s", c.Name, dir)
		}
		return nil, func(result *trainer.Result) error {
			lock.Lock()
			defer lock.Unlock()
			ended[c.Name] = result != nil
			return nil
		}
	}}
	for range 2 {
		r.Workers = append(r.Workers, Worker{Backend: openBackend(t), Environment: trainer.Environment{Device: "abacus"}, Place: func(c *Config) { c.CPU, c.Threads = true, 3 }})
	}
	wantLeft := func(want int) {
		t.Helper()
		if total, left, err := e.Count(dir); err != nil || total != 2 || left != want {
			t.Errorf("%d of %d runs left (%v), want %d of 2", left, total, err, want)
		}
	}
	wantLeft(2)
	misfits := e
	late := quick()
	late.Name, late.Crop = "late", new(7)
	misfits.Groups = append(slices.Clone(e.Groups), Group{Name: "late", Runs: []Config{late}})
	if err := r.Train(t.Context(), misfits); !errors.Is(err, trainer.ErrUsage) || err.Error() != "late: crop is 7: want a whole number from 0 to 6 for images of 8×6×1" {
		t.Errorf("a run that does not fit the dataset: %v", err)
	}
	wantLeft(2)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Train(cancelled, e); !errors.Is(err, trainer.ErrInterrupted) && !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	wantLeft(2)
	for _, want := range []struct {
		state   trainer.RunState
		trained bool
	}{{trainer.RunNew, true}, {trainer.RunFinished, false}} {
		clear(found)
		clear(ended)
		if err := r.Train(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"a", "b"} {
			if state, ok := found[name]; !ok || state != want.state || ended[name] != want.trained {
				t.Errorf("%s was found in state %v and trained: %v; want %+v", name, state, ended[name], want)
			}
		}
		wantLeft(0)
	}
	groups, err := ReadGroups([]string{dir})
	if err != nil || len(groups) != 1 || len(groups[0].Runs) != 2 {
		t.Fatalf("%+v (%v)", groups, err)
	}
	for _, run := range groups[0].Runs {
		if run.Config.Seed != uint64(run.Name()[0]) || !run.Config.CPU || run.Config.Threads != 3 || run.Config.Out != dir || run.Environment.Device != "abacus" {
			t.Errorf("%s: %+v", run.Name(), run.Config)
		}
		if _, err := os.Stat(filepath.Join(run.Dir, "checkpoint")); err == nil {
			t.Errorf("%s keeps its checkpoint", run.Name())
		}
	}
	r.Data.SHA256["classes"] = "other"
	if err := r.Train(t.Context(), e); !errors.Is(err, dataset.ErrBadData) {
		t.Errorf("finished runs of another dataset: %v", err)
	}
	e.Groups[0].Runs[1].LR = .5
	if _, _, err := e.Count(dir); !errors.Is(err, trainer.ErrUsage) {
		t.Errorf("counted with another learning rate: %v", err)
	}
}

// Runs that differ only in the seed are trained at once, and give what they give alone.
// A finished one takes no other's place.
func TestRunnerTrainsReplicas(t *testing.T) {
	e := Experiment{Name: "rates", Groups: []Group{{Name: "rates"}}}
	for seed := range uint64(3) {
		for _, lr := range []float64{.01, .1} {
			c := quick()
			c.Name, c.Seed, c.LR = fmt.Sprintf("lr%v-seed%d", lr, seed), seed, lr
			e.Groups[0].Runs = append(e.Groups[0].Runs, c)
		}
	}
	dir, alone := t.TempDir(), filepath.Join(t.TempDir(), "alone")
	finished, other := e.Groups[0].Runs[2], e.Groups[0].Runs[3] // of seed 1
	if _, err := train(t, finished, trainer.Options{NoPictures: true, Dir: filepath.Join(dir, finished.Name)}); err != nil {
		t.Fatal(err)
	}
	if _, err := train(t, other, trainer.Options{NoPictures: true, Dir: alone}); err != nil {
		t.Fatal(err)
	}
	r := Runner{Dir: dir, Data: tinyData(), Workers: []Worker{{Backend: openBackend(t)}}, Replicas: 2, KeepCheckpoints: true}
	r.Begin = func(c Config, _ string, found trainer.RunState) (trainer.Progress, func(*trainer.Result) error) {
		return nil, func(result *trainer.Result) error {
			if (result == nil) != (c.Name == finished.Name) || (found == trainer.RunFinished) != (c.Name == finished.Name) {
				t.Errorf("%s was found in state %v and ended with %+v", c.Name, found, result)
			}
			return nil
		}
	}
	if err := r.Train(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]int{"lr0.01-seed0": 2, "lr0.01-seed1": 0, "lr0.01-seed2": 2, "lr0.1-seed0": 2, "lr0.1-seed1": 2, "lr0.1-seed2": 0} {
		run, err := ReadRun(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if run.Environment.Together != want {
			t.Errorf("%s was trained with %d others, want %d", name, run.Environment.Together, want)
		}
		if _, err := os.Stat(filepath.Join(run.Dir, "checkpoint")); err != nil {
			t.Error(err)
		}
	}
	want, err1 := os.ReadFile(filepath.Join(alone, trainer.PredictionsFile))
	got, err2 := os.ReadFile(filepath.Join(dir, other.Name, trainer.PredictionsFile))
	if err := errors.Join(err1, err2); err != nil || string(got) != string(want) {
		t.Errorf("%s differs from the run alone (%v)", other.Name, err)
	}
	different := []Config{finished, other}
	different[1].Seed++
	if _, err := TrainReplicas(t.Context(), different, tinyData(), openBackend(t), make([]trainer.Options, 2)); !errors.Is(err, trainer.ErrUsage) || !strings.Contains(err.Error(), "differ in more than the seed (lr: 0.01)") {
		t.Errorf("two learning rates: %v", err)
	}
}
