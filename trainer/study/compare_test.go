package study

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/trainer"
)

// invented returns a run with 10,000 test images of which about the given share is
// classified correctly. Runs with the same seed find the same images difficult.
func invented(preset string, seed uint64, share float64) *Run {
	c := DefaultConfig()
	if err := c.ApplyPreset(preset); err != nil {
		panic(err)
	}
	c.Seed = seed
	r := &Run{Dir: fmt.Sprintf("runs/%s-%d", preset, seed), Config: c, Labels: make([]byte, 10_000), Right: make([]bool, 10_000)}
	source := rand.New(rand.NewPCG(seed, 7)) // the images' difficulty
	right := 0
	for i := range r.Right {
		if r.Right[i] = source.Float64() < share; r.Right[i] {
			right++
		}
	}
	r.Metrics.Protocol = "test"
	r.Metrics.Accuracy = float64(right) / float64(len(r.Right))
	return r
}

func compare(t *testing.T, runs ...*Run) *Comparison {
	t.Helper()
	c, err := Compare(runs)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Single runs are compared image by image.
func TestCompareSingleRuns(t *testing.T) {
	c := compare(t, invented("main_aug_dropout", 42, .9), invented("main_no_aug", 42, .93))
	p := c.Pairs[0]
	if len(c.Pairs) != 1 || p.First != "main_no_aug" || !strings.HasPrefix(p.Test, "McNemar") || !p.Shown || p.P != p.AdjustedP ||
		!strings.HasPrefix(p.Words, "main_no_aug is better than main_aug_dropout by 2.") || !strings.Contains(fmt.Sprint(c.Notes), "two networks") {
		t.Errorf("%+v", p)
	}
	if c.Together != nil {
		t.Errorf("two runs are compared as several: %+v", c.Together)
	}
	c = compare(t, invented("main_aug_dropout", 42, .9271), invented("main_no_aug", 43, .9290))
	if p := c.Pairs[0]; p.Shown || !strings.HasPrefix(p.Words, "No significant difference between main_no_aug and main_aug_dropout: +0.") || !strings.Contains(p.Words, " points (95 % interval -0.") {
		t.Errorf("%+v", p)
	}
}

// Runs that differ only in the seed are one recipe, and recipes with common seeds
// are compared over those seeds.
func TestCompareSeeds(t *testing.T) {
	var runs []*Run
	for seed := range uint64(5) {
		runs = append(runs, invented("alternative_shallow", 42+seed, .88), invented("main_no_aug", 42+seed, .927))
	}
	runs = append(runs, invented("main_no_aug", 99, .927))
	runs[1].Config.Threads, runs[1].Config.CPU, runs[1].Config.Name = 2, true, "other"
	c := compare(t, runs...)
	if len(c.Recipes) != 2 || len(c.Recipes[0].Seeds) != 6 || len(c.Recipes[1].Seeds) != 5 || c.Recipes[0].Name != "main_no_aug" {
		t.Fatalf("%+v", c.Recipes)
	}
	p := c.Pairs[0]
	if p.Test != "paired t over seeds 42, 43, 44, 45, 46" || !p.Shown || strings.Contains(fmt.Sprint(c.Notes), "two networks") || !(p.Difference.Low > .03 && p.Difference.High < .06) {
		t.Errorf("%+v", p)
	}
	if one := compare(t, runs[1], runs[3]); len(one.Recipes) != 1 || len(one.Pairs) != 0 || one.Recipes[0].Interval == nil {
		t.Errorf("one recipe: %+v", one)
	}
	// A changed setting makes another recipe, which is named after the setting.
	changed := invented("main_no_aug", 42, .927)
	changed.Config.LR, changed.Config.Crop = .01, new(2)
	c = compare(t, changed, invented("main_no_aug", 42, .9))
	if names := c.Recipes[0].Name + ", " + c.Recipes[1].Name; names != "main_no_aug (lr: 0.01, crop: 2), main_no_aug (lr: 0.001)" {
		t.Errorf("recipes %s", names)
	}
}

// Of several recipes, each is named after the settings that are unusual among them, unless
// that is the lack of one.
func TestRecipesAreNamedApart(t *testing.T) {
	changed := func(change func(c *Config)) *Run {
		r := invented("main_no_aug", 42, .9)
		change(&r.Config)
		return r
	}
	names := func(runs ...*Run) string {
		list, err := recipes(runs)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, r := range list {
			names = append(names, r.Name)
		}
		return strings.Join(names, "; ")
	}
	rate, crop := func(c *Config) { c.LR = .01 }, func(c *Config) { c.Crop = new(2) }
	if got := names(changed(func(*Config) {}), changed(rate), changed(crop)); got != "main_no_aug; main_no_aug (lr: 0.01); main_no_aug (crop: 2)" {
		t.Error(got)
	}
	both := changed(rate)
	crop(&both.Config)
	if got := names(changed(crop), both, changed(func(*Config) {})); got != "main_no_aug (lr: 0.001, crop: 2); main_no_aug (lr: 0.01, crop: 2); main_no_aug (lr: 0.001)" {
		t.Error(got)
	}
}

// With three pairs, Holm's correction applies.
func TestCompareCorrects(t *testing.T) {
	c := compare(t, invented("main_no_aug", 1, .927), invented("main_aug_dropout", 2, .92), invented("main_no_dropout", 3, .919))
	if len(c.Pairs) != 3 || c.Together == nil {
		t.Fatalf("%d pairs, want 3; together %+v", len(c.Pairs), c.Together)
	}
	// Q of three columns that hardly differ is about χ² of two degrees of freedom.
	if q := c.Together; !(q.Q > 0 && q.Q < 30) || !strings.Contains(q.Words, "Cochran's Q = ") || (q.P < .05) == strings.Contains(q.Words, "no significant") {
		t.Errorf("%+v", q)
	}
	least := math.Inf(1)
	for _, p := range c.Pairs {
		least = min(least, p.P)
	}
	for _, p := range c.Pairs {
		if !(p.AdjustedP >= p.P) || p.P == least && !(math.Abs(p.AdjustedP-min(1, 3*p.P)) <= 1e-12) || !strings.Contains(p.Words, "Holm") {
			t.Errorf("%+v", p)
		}
	}
}

// of returns the run as one of a dataset whose test images have the given hash.
func of(r *Run, dataset, hash string) *Run {
	run := *r
	run.Config.Dataset, run.Environment.SHA256 = dataset, map[string]string{"train": dataset, "test": hash}
	return &run
}

// trainedOnOthers returns the run with another hash of its training images.
func trainedOnOthers(r *Run) *Run {
	r.Environment.SHA256["train"] = "other"
	return r
}

// Runs of a dataset that has moved, and of one in several sizes, are comparable.
func TestCompareSameImages(t *testing.T) {
	a, b := invented("main_no_aug", 42, .9), invented("main_aug_dropout", 42, .9)
	for name, runs := range map[string][]*Run{
		"moved":  {of(a, "/digits", "1"), of(b, "/moved", "1")},
		"scaled": {of(a, "/digits", "1"), func() *Run { r := of(b, "/digits", "2"); r.Config.ImageSize = 32; return r }()},
	} {
		if _, err := Compare(runs); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Seeds of one recipe stay together when the dataset's folder has moved between them.
func TestCompareMovedDataset(t *testing.T) {
	moved := of(invented("main_no_aug", 43, .9), "/moved", "1")
	moved.Environment.SHA256["train"] = "/digits"
	c := compare(t, of(invented("main_no_aug", 42, .9), "/digits", "1"), moved)
	if len(c.Recipes) != 1 || len(c.Recipes[0].Runs()) != 2 {
		t.Errorf("%d recipes, want one of two runs", len(c.Recipes))
	}
}

func TestCompareRefuses(t *testing.T) {
	a, b := invented("main_no_aug", 42, .9), invented("main_aug_dropout", 42, .9)
	for say, runs := range map[string][]*Run{
		"nothing to compare":                 {a},
		"not comparable":                     {a, func() *Run { r := *b; r.Metrics.Protocol = "val"; return &r }()},
		"on different images":                {a, func() *Run { r := *b; r.Labels = []byte{1}; return &r }()},
		"tested on different images":         {of(a, "/digits", "1"), of(b, "/letters", "2")},
		"were tested on different":           {of(a, "/digits", "1"), of(b, "/digits", "2")}, // it has changed in between
		"were trained on different images: ": {of(a, "/digits", "1"), trainedOnOthers(of(invented("main_no_aug", 43, .9), "/digits", "1"))},
		"but were trained on different":      {of(a, "/digits", "1"), trainedOnOthers(of(a, "/digits", "1"))}, // not a repeat
		"are the same training with seed 42": {a, func() *Run { r := *a; r.Config.CPU = true; return &r }()},
	} {
		if _, err := Compare(runs); !errors.Is(err, trainer.ErrUsage) || !strings.Contains(err.Error(), say) {
			t.Errorf("%v, want a usage error with %q", err, say)
		}
	}
}

// Of runs that are the same training, the last is compared, and a note says so.
func TestCompareRepeats(t *testing.T) {
	a, b := invented("main_no_aug", 42, .9), invented("main_aug_dropout", 42, .9)
	again := invented("main_no_aug", 42, .8)
	again.Dir, again.Config.CPU = a.Dir+"-2", !a.Config.CPU
	c := compare(t, a, b, again)
	want := a.Dir + " is left out: " + again.Dir + " is the same training."
	if len(c.Recipes) != 2 || c.Recipes[1].Runs()[0] != again || !slices.Contains(c.Notes, want) {
		t.Errorf("%d recipes, notes %q, want %q", len(c.Recipes), c.Notes, want)
	}
}

// A recipe that is better over all seeds can be worse over the common ones, which
// the words and the interval describe.
func TestCompareCommonSeeds(t *testing.T) {
	var runs []*Run
	for seed := range uint64(4) {
		runs = append(runs, invented("main_no_aug", seed, .90), invented("main_aug_dropout", seed, .92))
	}
	for seed := range uint64(8) {
		runs = append(runs, invented("main_no_aug", 10+seed, .99))
	}
	p := compare(t, runs...).Pairs[0]
	if p.First != "main_no_aug" || !p.Shown || !(p.Difference.High < 0 && p.Effect < 0) ||
		!strings.HasPrefix(p.Words, "main_aug_dropout is better than main_no_aug by ") || strings.Contains(p.Words, "interval -") ||
		!strings.Contains(p.Words, fmt.Sprintf("effect size %.1f).", -p.Effect)) {
		t.Errorf("%+v", p)
	}
	// One common seed is not a sample: McNemar's test compares the runs with that seed.
	one := compare(t, invented("main_no_aug", 1, .9), invented("main_no_aug", 2, .9), invented("main_aug_dropout", 2, .9), invented("main_aug_dropout", 3, .9))
	if p := one.Pairs[0]; !strings.Contains(p.Test, "no_aug-2") || !strings.Contains(p.Test, "dropout-2") || p.Effect != 0 || strings.Contains(p.Words, "effect") {
		t.Errorf("%+v", p)
	}
}

// selected returns a run that selected its best of three epochs on held-out
// images.
func selected(preset string, seed uint64, val, test float64) *Run {
	r := invented(preset, seed, test)
	r.Metrics.Protocol = "val"
	for _, x := range []float64{val - .1, val, val - .02} {
		r.Epochs = append(r.Epochs, trainer.EpochReport{Epoch: len(r.Epochs) + 1, ValAccuracy: x})
	}
	return r
}

func ranking(c *Comparison) string {
	var list []string
	for _, r := range c.Recipes {
		list = append(list, fmt.Sprintf("%d %s", r.Rank, r.Name))
	}
	return strings.Join(list, ", ")
}

// Recipes are ranked by validation accuracy, regardless of test accuracy.
func TestRankByValidation(t *testing.T) {
	c := compare(t, selected("main_no_aug", 1, .91, .95), selected("main_aug_dropout", 1, .93, .90), selected("main_no_aug", 2, .92, .95), selected("main_aug_dropout", 2, .94, .90))
	if c.RankedBy != ByValAccuracy || ranking(c) != "1 main_aug_dropout, 2 main_no_aug" {
		t.Errorf("ranked by %s: %s", c.RankedBy, ranking(c))
	}
	r := c.Recipes[0]
	if !(math.Abs(*r.ValAccuracy-.935) <= 1e-12) || fmt.Sprint(r.ValAccuracies) != "[0.93 0.94]" || r.ValInterval == nil || !(r.ValInterval.Low < .935 && r.ValInterval.High <= 1) {
		t.Errorf("validation: %v %v %+v", *r.ValAccuracy, r.ValAccuracies, r.ValInterval)
	}
	if notes := fmt.Sprint(c.Notes); !strings.Contains(notes, "Ranked by validation accuracy") || !strings.Contains(notes, "only 2 seeds") {
		t.Errorf("notes %s", notes)
	}
	// The pair goes the other way: the test is of the test accuracies.
	if p := c.Pairs[0]; p.First != "main_aug_dropout" || !(p.Difference.Mean < 0) {
		t.Errorf("%+v", p)
	}
}

// Equal figures share a rank and keep their order despite rounding errors.
func TestRankTies(t *testing.T) {
	c := compare(t, selected("alternative_shallow", 1, .9, .8), selected("main_aug_dropout", 1, .95, .8),
		selected("main_no_aug", 1, .1, .9), selected("main_no_aug", 2, .2, .9), selected("main_no_aug", 3, .3, .9),
		selected("main_no_dropout", 1, .2, .9), selected("baseline_logistic", 1, .05, .99))
	if want := "1 main_aug_dropout, 2 alternative_shallow, 3 main_no_aug, 3 main_no_dropout, 5 baseline_logistic"; ranking(c) != want {
		t.Errorf("got %s, want %s", ranking(c), want)
	}
}

// Runs that selected on the test images have no validation accuracy, though
// results.csv has a column of that name; the ranking says that it is optimistic.
func TestRankByTest(t *testing.T) {
	a, b := selected("main_no_aug", 1, .5, .95), selected("main_aug_dropout", 1, .9, .90)
	a.Metrics.Protocol, b.Metrics.Protocol = "test", "test"
	c := compare(t, a, b)
	if c.RankedBy != ByTestAccuracy || ranking(c) != "1 main_no_aug, 2 main_aug_dropout" || c.Recipes[0].ValAccuracy != nil {
		t.Errorf("ranked by %s: %s", c.RankedBy, ranking(c))
	}
	if notes := fmt.Sprint(c.Notes); !strings.Contains(notes, "optimistic") || !strings.Contains(notes, "Do not choose") {
		t.Errorf("notes %s", notes)
	}
}

// A recipe with a run that never evaluated is ranked last: a recipe's mean is over
// all of its runs or does not exist.
func TestRankWithout(t *testing.T) {
	without := selected("main_no_aug", 2, .99, .95)
	for i := range without.Epochs {
		without.Epochs[i].ValAccuracy = math.NaN()
	}
	if _, ok := without.ValAccuracy(); ok || without.BestEpoch() != 0 {
		t.Errorf("a run without evaluations has the best epoch %d", without.BestEpoch())
	}
	c := compare(t, selected("main_no_aug", 1, .99, .95), without, selected("main_aug_dropout", 1, .9, .90))
	if ranking(c) != "1 main_aug_dropout, 2 main_no_aug" || c.Recipes[1].ValAccuracy != nil || c.Recipes[1].ValAccuracies != nil {
		t.Errorf("%s", ranking(c))
	}
	if !strings.Contains(fmt.Sprint(c.Notes), "main_no_aug has no validation accuracy") {
		t.Errorf("notes %s", c.Notes)
	}
	without.Epochs[2].ValAccuracy = .7 // an epoch that was not evaluated before one that was
	if val, ok := without.ValAccuracy(); !ok || val != .7 || without.BestEpoch() != 3 {
		t.Errorf("best epoch %d, %v", without.BestEpoch(), val)
	}
}

// Runs with two protocols, or tested on two datasets, become two comparisons, or none if
// there is only one run of each.
func TestCompareMixedRuns(t *testing.T) {
	a, b := selected("main_no_aug", 1, .9, .9), selected("main_aug_dropout", 1, .91, .9)
	other := invented("main_no_aug", 1, .92)
	list, err := CompareGroups([]RunGroup{{Runs: []*Run{a, other, b}}})
	if err != nil || len(list) != 2 {
		t.Fatalf("%d comparisons (%v), want 2", len(list), err)
	}
	if ranking(list[0]) != "1 main_aug_dropout, 2 main_no_aug" || ranking(list[1]) != "1 main_no_aug" || len(list[1].Pairs) != 0 {
		t.Errorf("%s; %s", ranking(list[0]), ranking(list[1]))
	}
	if list[0].Name != "selected on val" || list[1].Name != "selected on test" || !strings.Contains(fmt.Sprint(list[0].Notes), "not comparable") {
		t.Errorf("%q and %q: %s", list[0].Name, list[1].Name, list[0].Notes)
	}
	letters := of(invented("main_no_aug", 2, .8), "/letters", "2")
	var names []string
	for _, runs := range [][]*Run{
		{of(a, "/digits", "1"), letters, of(b, "/digits", "1")},
		{of(other, "/digits", "1"), letters, of(invented("main_no_aug", 3, .8), "/digits", "1")},
	} {
		list, err := CompareGroups([]RunGroup{{Runs: runs}})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range list {
			names = append(names, c.Name)
		}
	}
	if want := []string{"10,000 images of /digits, selected on val", "10,000 images of /letters, selected on test",
		"10,000 images of /digits", "10,000 images of /letters"}; !slices.Equal(names, want) {
		t.Errorf("of two datasets: %q, want %q", names, want)
	}
	if list, err := CompareGroups([]RunGroup{{Name: "rates", Runs: []*Run{a, other}}}); err != nil || len(list) != 0 {
		t.Errorf("one run of each: %d comparisons (%v), want none", len(list), err)
	}
}

// Intervals of accuracies stay within [0, 1], and a single run has none.
func TestIntervalsWithinFractions(t *testing.T) {
	c := compare(t, selected("main_no_aug", 1, .50, .55), selected("main_no_aug", 2, .9, .95), selected("main_aug_dropout", 1, .9, .9))
	for _, r := range c.Recipes {
		if len(r.Seeds) == 1 {
			if r.Interval != nil || r.ValInterval != nil || r.F1Interval != nil {
				t.Errorf("one run has the intervals %v, %v, %v", r.Interval, r.ValInterval, r.F1Interval)
			}
			continue
		}
		if r.Interval.Low != 0 || r.Interval.High != 1 || r.ValInterval.Low != 0 || r.ValInterval.High != 1 {
			t.Errorf("intervals %+v and %+v, want all of [0, 1]", *r.Interval, *r.ValInterval)
		}
	}
	// Differences of two accuracies stay within [-1, 1].
	c = compare(t, selected("main_no_aug", 1, .9, .99), selected("main_no_aug", 2, .9, .2), selected("main_aug_dropout", 1, .8, .2), selected("main_aug_dropout", 2, .8, .9))
	if d := c.Pairs[0].Difference; d.Low != -1 || d.High != 1 {
		t.Errorf("difference %+v, want all of [-1, 1]", d)
	}
}

// If there are many pairs, the main ones are the best recipe's; none is lost.
func TestMainPairs(t *testing.T) {
	var runs []*Run
	for i := range 6 {
		r := selected("main_no_aug", 1, .9-float64(i)/100, .9)
		r.Config.LR = float64(i+1) / 100
		runs = append(runs, r)
	}
	if main, others := compare(t, runs[:5]...).MainPairs(); len(main) != 10 || others != nil {
		t.Errorf("%d and %d pairs of five recipes, want 10 and 0", len(main), len(others))
	}
	c := compare(t, runs...)
	main, others := c.MainPairs()
	if len(main) != 5 || len(others) != 10 {
		t.Fatalf("%d and %d pairs of six recipes, want 5 and 10", len(main), len(others))
	}
	for _, p := range main {
		if p.First != c.Recipes[0].Name {
			t.Errorf("%s is compared with %s, want all with the first", p.First, p.Second)
		}
	}
}

// A p-value is never said to be on the other side of the limit.
func TestChance(t *testing.T) {
	for p, want := range map[float64]string{1: "p = 1", .21: "p = 0.21", .0351: "p = 0.035", .05: "p = 0.05", .0496: "p = 0.0496", .04996: "p = 0.04996",
		.0503: "p = 0.05", .001: "p = 0.001", .0009: "p < 0.001"} {
		if got := chance(p); got != want {
			t.Errorf("%v: %s, want %s", p, got, want)
		}
	}
}
