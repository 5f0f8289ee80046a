package study

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset/datasettest"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/internal/atomicfile"
)

func TestSearchRungs(t *testing.T) {
	for _, c := range []struct {
		plan SearchPlan
		want string
	}{
		{DefaultSearchPlan(), "27×1 9×3 3×9"},
		{SearchPlan{Trials: 20, MinEpochs: 2, MaxEpochs: 10, Reduction: 2}, "20×2 10×5 5×10"},
		{SearchPlan{Trials: 3, MinEpochs: 1, MaxEpochs: 16, Reduction: 4}, "3×1 1×4 1×16"},
		{SearchPlan{Trials: 5, MinEpochs: 4, MaxEpochs: 4, Reduction: 3}, "5×4"},
	} {
		var list []string
		for _, r := range c.plan.rungs() {
			list = append(list, fmt.Sprintf("%d×%d", r.Trials, r.Epochs))
		}
		if got := strings.Join(list, " "); got != c.want {
			t.Errorf("%+v: %s, want %s", c.plan, got, c.want)
		}
	}
}

// parsed returns a search of a file in a folder of its own.
func parsed(t *testing.T, text string) Search {
	t.Helper()
	s, err := ParseSearch("rates.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Numbers are drawn from their ranges, evenly on their scale, and with few digits.
func TestSearchDraws(t *testing.T) {
	s := parsed(t, `
base: {model: logistic}
trials: 400
ranges:
  lr: {log-uniform: [0.0001, 1]}
  momentum: {uniform: [0.5, 0.9]}
  batch-size: {log-uniform: [16, 256]}
  patience: {uniform: [1, 4]}
  optimizer: [adam, sgd]
`)
	if s.Name != "rates" || len(s.trials) != 400 || s.trials[6].config.Name != "trial007" || s.trials[0].config.Epochs != 9 {
		t.Errorf("%s: %d trials, the first %+v", s.Name, len(s.trials), s.trials[0].config)
	}
	below := map[string]int{} // the middle of the range, on its scale
	patience := map[int]int{}
	for _, trial := range s.trials {
		c := trial.config
		patience[c.Patience]++
		if !(c.LR >= 1e-4 && c.LR <= 1 && c.Momentum >= .5 && c.Momentum <= .9 && c.BatchSize >= 16 && c.BatchSize <= 256) {
			t.Errorf("outside the ranges: %+v", trial.values)
		}
		if short, _ := strconv.ParseFloat(strconv.FormatFloat(c.LR, 'g', 3, 64), 64); c.LR != short {
			t.Errorf("lr %v has more digits than it needs", c.LR)
		}
		for name, is := range map[string]bool{"lr": c.LR < .01, "momentum": c.Momentum < .7, "batch-size": c.BatchSize < 64, "optimizer": c.Optimizer == "adam"} {
			if is {
				below[name]++
			}
		}
	}
	for name, n := range below {
		if n < 160 || n > 240 { // four standard deviations
			t.Errorf("%s: %d of 400 are in the lower half", name, n)
		}
	}
	for n := 1; n <= 4; n++ {
		if patience[n] < 65 || len(patience) != 4 {
			t.Errorf("patience is %v times %d, want some 100", patience[n], n)
		}
	}
}

// The seed decides the trials, and more trials come after the others.
func TestSearchSeeds(t *testing.T) {
	const text = "ranges: {lr: {log-uniform: [0.001, 1]}, augment: [none, light]}\ntrials: 12\n"
	drawn := func(text string) string {
		t.Helper()
		var list []string
		for _, trial := range parsed(t, text).trials {
			list = append(list, trial.config.Value("lr")+trial.config.Augment)
		}
		return strings.Join(list, " ")
	}
	first := drawn(text)
	if drawn(text) != first || drawn(text+"seed: 42") != first || drawn(text+"seed: 43") == first {
		t.Error("the seed does not decide the trials")
	}
	if more := drawn(strings.Replace(text, "12", "13", 1)); !strings.HasPrefix(more, first+" ") {
		t.Errorf("with one trial more: %s, want %s and one more", more, first)
	}
	own, err := ParseSearch("x.yaml", []byte(text), given("--trials", "trials", "3"), given("--seed", "seed", "42"))
	if err != nil || len(own.trials) != 3 || own.Rungs[0].Trials != 3 {
		t.Errorf("overridden: %d trials (%v), want 3", len(own.trials), err)
	}
	few := parsed(t, "ranges: {augment: [none, light], flip: [none, random]}\ntrials: 4\n")
	if e := few.Experiment(); len(e.Groups[0].Runs) != 4 || e.check("few") != nil {
		t.Errorf("four trials of four combinations: %v", e.check("few"))
	}
}

// A search selects on validation images and sets the epochs, even if a preset says otherwise.
func TestSearchOfPreset(t *testing.T) {
	for _, p := range PresetNames() {
		for _, text := range []string{"base: {preset: " + p + "}\nranges: {lr: [0.001, 0.002]}\ntrials: 2\nmax-epochs: 3\n", "ranges: {preset: [" + p + "], lr: [0.001, 0.002]}\ntrials: 2\nmax-epochs: 3\n"} {
			s, err := ParseSearch("x.yaml", []byte(text))
			if err != nil {
				t.Fatal(err)
			}
			for _, trial := range s.trials {
				if c := trial.config; c.SelectOn != "val" || c.NoEval || c.Epochs != 3 {
					t.Errorf("%s: select-on %s, no-eval %v, %d epochs", text, c.SelectOn, c.NoEval, c.Epochs)
				}
			}
		}
	}
}

func TestSearchRefuses(t *testing.T) {
	for text, say := range map[string]string{
		"base: {lr: 0.1}":                                     "there is nothing to search: give a setting under ranges",
		"ranges:\n  speed: [1]":                               `line 2: unknown key "speed"`,
		"ranges:\n  lr: 0.1":                                  "line 2: lr: want a list of values, {uniform: [low, high]} or {log-uniform: [low, high]}",
		"ranges:\n  lr: {log: [0.1, 1]}":                      "line 2: lr: want a list of values, {uniform",
		"ranges:\n  lr: {uniform: [0.1]}":                     "line 2: lr: want a list of values, {uniform",
		"ranges:\n  lr: {uniform: [1, 0.1]}":                  "line 2: lr: want the lower end before the higher one",
		"ranges:\n  lr: {uniform: [x, 0.1]}":                  `line 2: lr is "x": want a positive number`,
		"ranges:\n  lr:\n    uniform:\n    - 0.1\n    - 2000": "line 5: lr is 2000: want a positive number up to 1000",
		"ranges:\n  weight-decay: {log-uniform: [0, 0.1]}":    "line 2: weight-decay: 0 has no logarithm",
		"ranges:\n  batch-size: {uniform: [1.5, 8]}":          "line 2: batch-size is 1.5: want a whole number",
		"ranges:\n  optimizer: {uniform: [1, 2]}":             "line 2: optimizer is 1: want adam",
		"ranges:\n  model: {uniform: [1, 2]}":                 "line 2: model is not a number: want a list of values",
		"ranges:\n  lr: []":                                   "line 2: lr: want a list of values",
		"ranges:\n  lr: [0.1, -1]":                            "line 2: lr is -1",
		"ranges:\n  seed: [1, 2]":                             "line 2: seed cannot be searched, since trials must be judged on the same images",
		"ranges:\n  epochs: [1, 2]":                           "line 2: epochs cannot be searched, since max-epochs and min-epochs say",
		"ranges:\n  cpu: [true, false]":                       "line 2: cpu cannot be set here",
		"ranges: [1]":                                         "line 1: ranges: want lines",
		"ranges: {lr: [0.1, 0.2]}\ntrials: 3":                 "the ranges allow only about 2 different trials: want fewer",
		"ranges: {lr: [0.1, 0.2]}\ntrials: none":              `line 2: trials is "none": want a whole number`,
		"ranges: {lr: [0.1, 0.2]}\nreduction: 1":              "line 2: reduction is 1: want a whole number from 2",
		"ranges: {lr: [0.1, 0.2]}\nmin-epochs: 10":            "min-epochs is 10 and max-epochs is 9: want a min-epochs of at most max-epochs",
		"ranges: {lr: [0.1, 0.2]}\ntrial: 2":                  `line 2: unknown key "trial": did you mean "trials"?`,
		"ranges: {lr: [0.1, 0.2]}\nepochs: 2":                 "line 2: epochs is outside base and ranges",
		"ranges: {lr: [0.1, 0.2]}\ngrid: {}":                  "line 2: grid: this describes an experiment: run it with the experiment command",
		"ranges: {lr: [0.1, 0.2]}\nvariants: [{}]":            "line 2: variants: this describes an experiment: run it with the experiment command",
		"base:\n  select-on: test\nranges: {lr: [0.1, 0.2]}":  "line 2: select-on cannot be set here, since a search selects on the validation images",
		"base:\n  no-eval: true\nranges: {lr: [0.1, 0.2]}":    "line 2: no-eval cannot be set here",
		"base:\n  epochs: 3\nranges: {lr: [0.1, 0.2]}":        "line 2: epochs cannot be set here, since max-epochs",
		"base:\n  seed: 1-2\nranges: {lr: [0.1, 0.2]}":        "line 2: seed is several numbers: want one",
		"name: ../up\nranges: {lr: [0.1, 0.2]}":               `the search's name is "../up"`,
		"ranges:\n  crop: [2, 40]\ntrials: 2":                 "crop is 40: want a whole number from 0 to 28 for images of 28×28×1",
		"ranges:\n  warmup: [12]\ntrials: 1":                  "rates.yml: warmup12: warmup is 12: want at most the number of epochs, 9",
		"ranges:\n  model: [none.yaml]\ntrials: 1":            "line 2: cannot read the network none.yaml",
	} {
		_, err := ParseSearch("rates.yml", []byte(text))
		if !errors.Is(err, trainer.ErrUsage) || !strings.Contains(err.Error(), say) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want a usage error with %q", text, err, say)
		}
		if err != nil && strings.HasPrefix(say, "line ") && !strings.HasPrefix(err.Error(), "rates.yml: line ") {
			t.Errorf("%s: %v does not begin with the file", text, err)
		}
	}
	for text, say := range map[string]string{"ranges: {}": "describes a search, not one training: run it with the search command", "base: {}": "with the experiment command"} {
		c := DefaultConfig()
		if err := c.ParseYAML("x.yaml", []byte(text)); err == nil || !strings.Contains(err.Error(), say) {
			t.Errorf("%s as a training: %v", text, err)
		}
	}
	if _, err := ParseExperiment("x.yaml", []byte("ranges: {}")); err == nil || !strings.Contains(err.Error(), "run it with the search command") {
		t.Errorf("a search as an experiment: %v", err)
	}
}

// ratesSearch is a search in which only rates above about 1e-4 are of use.
const ratesSearch = "base: {model: logistic, batch-size: 60, scheduler: onecycle}\nranges: {lr: {log-uniform: [1e-8, 0.1]}}\ntrials: 9\nmax-epochs: 3\n"

// searchIn trains a search in a folder with the given number of workers. It returns what
// the search found, and the trainings in the order in which they began.
func searchIn(t *testing.T, dir, text string, data *dataset.Dataset, workers int) (*SearchResult, []string, error) {
	t.Helper()
	return searchUntil(t, t.Context(), dir, text, data, workers)
}

func searchUntil(t *testing.T, ctx context.Context, dir, text string, data *dataset.Dataset, workers int) (*SearchResult, []string, error) {
	t.Helper()
	var lock sync.Mutex
	var begun []string
	r := Runner{Dir: dir, Data: data, Begin: func(c Config, _ string, _ trainer.RunState) (trainer.Progress, func(*trainer.Result) error) {
		lock.Lock()
		defer lock.Unlock()
		begun = append(begun, c.Name)
		return nil, func(*trainer.Result) error { return nil }
	}}
	for range workers {
		r.Workers = append(r.Workers, Worker{Backend: openBackend(t)})
	}
	found, err := parsed(t, text).Train(ctx, r)
	return found, begun, err
}

// outcome returns what a search has written.
func outcome(t *testing.T, dir string) string {
	t.Helper()
	var all strings.Builder
	for _, name := range []string{SearchFile, TrialsFile, BestFile} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Error(err)
		}
		all.Write(text)
	}
	return all.String()
}

// A search finds the rates of use, tests nothing and looks at no test image. The best
// trial's settings train as it was trained.
func TestSearch(t *testing.T) {
	dir := t.TempDir()
	data := datasettest.Subset(t)
	found, begun, err := searchIn(t, dir, ratesSearch, data, 1)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Join(begun[:9], " ") != "trial1 trial2 trial3 trial4 trial5 trial6 trial7 trial8 trial9" || len(begun) != 12 || found.Left() != 0 {
		t.Errorf("trained %v, and %d are left", begun, found.Left())
	}
	best := found.Best()
	if rate, _ := strconv.ParseFloat(best.Settings["lr"], 64); !(rate > 1e-4) || best.Epochs != 3 || len(best.Accuracies) != 2 || !(best.Accuracy() > .5) {
		t.Errorf("the best is %+v", best)
	}
	for _, result := range found.Trials {
		if rungs := len(result.Accuracies); (rungs == 2) != (result.Rank <= 3) || rungs < 1 {
			t.Errorf("%s, of rank %d, was in %d rungs", result.Name, result.Rank, rungs)
		}
		for _, name := range []string{trainer.MetricsFile, trainer.PredictionsFile} {
			if _, err := os.Stat(filepath.Join(dir, result.Name, name)); err == nil {
				t.Errorf("%s has a file %s: it was tested", result.Name, name)
			}
		}
		if _, err := os.Stat(filepath.Join(dir, result.Name, "checkpoint")); (err == nil) != (result.Rank <= 3) {
			t.Errorf("%s, of rank %d, has a checkpoint: %v", result.Name, result.Rank, err == nil)
		}
	}
	others := *data
	others.Test.Images, others.Test.Labels = make([]byte, len(data.Test.Images)), make([]byte, data.Test.N)
	again := t.TempDir()
	if _, _, err := searchIn(t, again, ratesSearch, &others, 2); err != nil || outcome(t, again) != outcome(t, dir) {
		t.Errorf("with other test images, and two workers, the search finds something else (%v)", err)
	}

	c := DefaultConfig()
	if err := c.LoadYAML(filepath.Join(dir, BestFile)); err != nil {
		t.Fatal(err)
	}
	whole, err := Train(t.Context(), c, data, openBackend(t), trainer.Options{})
	if err != nil || c.Name != "" || len(whole.Epochs) != 3 {
		t.Fatalf("the best settings, %+v: %v", c, err)
	}
	if got := whole.Epochs[whole.BestEpoch-1].ValAccuracy; !(math.Abs(got-best.Accuracy()) < 1e-8) {
		t.Errorf("the best settings train to %v, the best trial to %v", got, best.Accuracy())
	}
	table, err := os.ReadFile(filepath.Join(dir, TrialsFile))
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(strings.NewReader(string(table))).ReadAll()
	if err != nil || len(rows) != 10 || !slices.Equal(rows[0], []string{"rank", "trial", "lr", "epochs", "val_accuracy_1", "val_accuracy_3"}) || rows[1][1] != best.Name || rows[9][5] != "" {
		t.Errorf("%v: %q", err, rows)
	}
}

// A search that is killed at any moment, or interrupted, continues and finds the same.
func TestSearchSurvives(t *testing.T) {
	data := datasettest.Subset(t)
	dir := t.TempDir()
	var killed []string // copies of the folder as it was at some moments
	points, every := 0, 17
	if testing.Short() {
		every = 60
	}
	var lock sync.Mutex
	atomicfile.Failpoint = func(string) {
		lock.Lock()
		defer lock.Unlock()
		if points++; points%every == 0 {
			to := t.TempDir()
			if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
				t.Error(err)
			}
			killed = append(killed, to)
		}
	}
	_, _, err := searchIn(t, dir, ratesSearch, data, 1)
	atomicfile.Failpoint = nil
	if err != nil || len(killed) < 4 {
		t.Fatalf("%d moments of %d (%v)", len(killed), points, err)
	}
	want := outcome(t, dir)
	least := math.MaxInt
	for i, from := range killed {
		_, begun, err := searchIn(t, from, ratesSearch, data, 2)
		if got := outcome(t, from); err != nil || got != want {
			t.Errorf("killed at moment %d: %v, and found\n%s\nwant\n%s", i, err, got, want)
		}
		least = min(least, len(begun))
	}
	if least > 2 {
		t.Errorf("%d trainings or more were repeated each time", least)
	}
	if _, begun, err := searchIn(t, dir, ratesSearch, data, 1); err != nil || len(begun) > 0 {
		t.Errorf("a complete search trains %v again (%v)", begun, err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := searchUntil(t, cancelled, t.TempDir(), ratesSearch, data, 1); !errors.Is(err, trainer.ErrInterrupted) && !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v, want an interruption", err)
	}
	for _, other := range []string{strings.Replace(ratesSearch, "1e-8", "1e-7", 1), ratesSearch + "min-epochs: 2\n", strings.Replace(ratesSearch, "onecycle", "cosine", 1)} {
		if _, _, err := searchIn(t, dir, other, data, 1); !errors.Is(err, trainer.ErrUsage) || !strings.Contains(err.Error(), "choose another folder") {
			t.Errorf("another search in the same folder: %v", err)
		}
	}
}

// A trial that diverges is out, and does not stop the others.
func TestSearchDiverges(t *testing.T) {
	const text = "base: {model: logistic, optimizer: sgd, lr: 0.01, batch-size: 10}\nranges: {weight-decay: [0, 1000]}\ntrials: 2\nmax-epochs: 3\n"
	dir, data := t.TempDir(), datasettest.Subset(t)
	for range 2 {
		found, _, err := searchIn(t, dir, text, data, 1)
		if err != nil {
			t.Fatal(err)
		}
		best := found.Best()
		if best.Settings["weight-decay"] != "0" || best.Epochs != 3 || !slices.ContainsFunc(found.Trials, func(r TrialResult) bool { return r.Diverged && r.Rank == 2 && len(r.Accuracies) == 0 }) {
			t.Errorf("%+v", found.Trials)
		}
	}
	dir = t.TempDir()
	if _, _, err := searchIn(t, dir, strings.Replace(text, "[0, 1000]", "[900, 1000]", 1), data, 1); !errors.Is(err, trainer.ErrDiverged) || !strings.HasSuffix(err.Error(), "in every trial: try lower learning rates (lr)") {
		t.Errorf("every trial diverges: %v", err)
	}
}

// A trial whose divergence does not repeat is not given up.
func TestRepeats(t *testing.T) {
	again, once := &trainer.DivergenceError{Repeats: true}, &trainer.DivergenceError{}
	for _, c := range []struct {
		err  error
		want bool
	}{
		{again, true}, {once, false}, {fmt.Errorf("x: %w", again), true}, {fmt.Errorf("x: %w", once), false},
		{errors.Join(again, fmt.Errorf("x: %w", once)), false}, {errors.Join(again, again), true}, {errors.New("other"), true},
	} {
		if got := repeats(c.err); got != c.want {
			t.Errorf("%v: %t", c.err, got)
		}
	}
}
