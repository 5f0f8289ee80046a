package trainer

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

// invented returns a run of 10,000 test images of which about a share is
// classified right, more of the first where two runs have the same source.
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
		!strings.HasPrefix(p.Words, "main_no_aug is better than main_aug_dropout by 2.") || !strings.HasSuffix(p.Words, "not of others from other seeds.") {
		t.Errorf("%+v", p)
	}
	if c.Together != nil {
		t.Errorf("two runs are compared as several: %+v", c.Together)
	}
	c = compare(t, invented("main_aug_dropout", 42, .9271), invented("main_no_aug", 43, .9290))
	if p := c.Pairs[0]; p.Shown || !strings.Contains(p.Words, "nothing is shown") || !strings.Contains(p.Words, "10,000 images is within noise") {
		t.Errorf("%+v", p)
	}
}

// Runs that differ in the seed alone are one recipe, and recipes with common
// seeds are compared over those.
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
	if p.Test != "paired t over seeds 42, 43, 44, 45, 46" || !p.Shown || strings.Contains(p.Words, "of these two networks") || !(p.Difference.Low > .03 && p.Difference.High < .06) {
		t.Errorf("%+v", p)
	}
	if one := compare(t, runs[1], runs[3]); len(one.Recipes) != 1 || len(one.Pairs) != 0 || one.Recipes[0].Interval == nil {
		t.Errorf("one recipe: %+v", one)
	}
	// Another setting is another recipe, whose name says which.
	changed := invented("main_no_aug", 42, .927)
	changed.Config.LR, changed.Config.Crop = .01, new(2)
	c = compare(t, changed, invented("main_no_aug", 42, .9))
	if names := c.Recipes[0].Name + ", " + c.Recipes[1].Name; names != "main_no_aug (lr: 0.01, crop: 2), main_no_aug (lr: 0.001)" {
		t.Errorf("recipes %s", names)
	}
}

// Three pairs take Holm's correction.
func TestCompareCorrects(t *testing.T) {
	c := compare(t, invented("main_no_aug", 1, .927), invented("main_aug_dropout", 2, .92), invented("main_no_dropout", 3, .919))
	if len(c.Pairs) != 3 || c.Together == nil {
		t.Fatalf("%d pairs, want 3; together %+v", len(c.Pairs), c.Together)
	}
	// Q of three columns that hardly differ is about χ² of two degrees of freedom.
	if q := c.Together; !(q.Q > 0 && q.Q < 30) || !strings.Contains(q.Words, "Cochran's Q = ") || (q.P < .05) == strings.Contains(q.Words, "not shown") {
		t.Errorf("%+v", q)
	}
	least := math.Inf(1)
	for _, p := range c.Pairs {
		least = min(least, p.P)
	}
	for _, p := range c.Pairs {
		if p.AdjustedP < p.P || (p.P == least && math.Abs(p.AdjustedP-min(1, 3*p.P)) > 1e-12) || !strings.Contains(p.Words, "Holm") {
			t.Errorf("%+v", p)
		}
	}
}

func TestCompareRefuses(t *testing.T) {
	a, b := invented("main_no_aug", 42, .9), invented("main_aug_dropout", 42, .9)
	for say, runs := range map[string][]*Run{
		"two or more":                       {a},
		"not comparable":                    {a, func() *Run { r := *b; r.Metrics.Protocol = "val"; return &r }()},
		"on different images":               {a, func() *Run { r := *b; r.Labels = []byte{1}; return &r }()},
		"are the same training, of seed 42": {a, b, func() *Run { r := *a; r.Config.CPU = true; return &r }()},
	} {
		if _, err := Compare(runs); !errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), say) {
			t.Errorf("%v, want a usage error with %q", err, say)
		}
	}
}

// The recipe that is better over all seeds can be the worse over the common
// ones: the words and the interval are of those.
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
		!strings.Contains(p.Words, fmt.Sprintf("effect size %.1f.", -p.Effect)) {
		t.Errorf("%+v", p)
	}
	// One common seed is no sample of seeds; it is what McNemar's test is between.
	one := compare(t, invented("main_no_aug", 1, .9), invented("main_no_aug", 2, .9), invented("main_aug_dropout", 2, .9), invented("main_aug_dropout", 3, .9))
	if p := one.Pairs[0]; !strings.Contains(p.Test, "no_aug-2") || !strings.Contains(p.Test, "dropout-2") || p.Effect != 0 || strings.Contains(p.Words, "effect") {
		t.Errorf("%+v", p)
	}
}
