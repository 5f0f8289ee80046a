package trainer

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"
	"gonum.org/v1/gonum/stat"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/statistics"
)

// Recipe is what runs have in common that differ in nothing but the seed and
// where they ran.
type Recipe struct {
	Name       string               `json:"name"`
	Seeds      []uint64             `json:"seeds"`
	Accuracies []float64            `json:"accuracies"` // by seed, fractions
	Accuracy   float64              `json:"accuracy"`   // mean
	Interval   *statistics.Interval `json:"interval"`   // of the mean, with two runs or more
	MacroF1    float64              `json:"macro_f1"`   // mean
	F1Interval *statistics.Interval `json:"macro_f1_interval"`
	Preset     string               `json:"preset,omitempty"`
	Parameters int                  `json:"parameters"`
	Seconds    float64              `json:"training_seconds"` // mean

	runs []*Run
}

// Runs returns the recipe's runs, by seed.
func (r Recipe) Runs() []*Run { return r.runs }

// Pair is the comparison of two recipes.
type Pair struct {
	First      string              `json:"first"`
	Second     string              `json:"second"`
	Test       string              `json:"test"`
	Difference statistics.Interval `json:"difference"` // of the accuracies, first minus second
	P          float64             `json:"p"`
	AdjustedP  float64             `json:"adjusted_p"`       // for the number of pairs, by Holm's method
	Effect     float64             `json:"effect,omitempty"` // Cohen's d_z, over seeds
	Shown      bool                `json:"shown"`            // AdjustedP is below .05
	Words      string              `json:"words"`

	networks bool // the test is of two networks alone, not over seeds
}

// Comparison is the outcome of [Compare].
type Comparison struct {
	Name     string    `json:"name,omitempty"` // of the group
	Protocol string    `json:"protocol"`
	Images   int       `json:"images"`
	Recipes  []Recipe  `json:"recipes"`            // best first
	Pairs    []Pair    `json:"pairs"`              // of recipes; none where there is but one
	Together *Cochran  `json:"cochran"`            // of three recipes or more, all of one run
	Findings []Finding `json:"findings,omitempty"` // of the original, where its trainings are among the recipes
	// Unfinished names runs of the experiment that are left out: under way,
	// diverged or gone.
	Unfinished []string `json:"unfinished,omitempty"`
}

// Cochran is what Cochran's Q says of several runs together.
type Cochran struct {
	Q     float64 `json:"q"`
	P     float64 `json:"p"`
	Words string  `json:"words"`
}

// CompareGroups compares the runs within every group that has two or more.
func CompareGroups(groups []RunGroup) ([]*Comparison, error) {
	var list []*Comparison
	for _, g := range groups {
		if len(g.Runs) < 2 {
			continue
		}
		c, err := Compare(g.Runs)
		if err != nil {
			return nil, err
		}
		c.Name, c.Unfinished = g.Name, g.Unfinished
		list = append(list, c)
	}
	return list, nil
}

// significance is the level below which a difference counts as shown.
const significance = .05

// Compare compares runs: recipes with two or more common seeds by a paired t
// test over those, others by McNemar's test and a bootstrap interval between two
// of their runs. Runs of different protocols or of other test images are not
// comparable, and one training twice says nothing about seeds: that is
// [ErrUsage].
func Compare(runs []*Run) (*Comparison, error) {
	if len(runs) < 2 {
		return nil, usage("%d run to compare: name two or more", len(runs))
	}
	first := runs[0]
	for _, r := range runs[1:] {
		if r.Metrics.Protocol != first.Metrics.Protocol {
			return nil, usage("%s chose its best epoch on %s, %s on %s: their figures are not comparable",
				first.Dir, first.Metrics.Protocol, r.Dir, r.Metrics.Protocol)
		}
		if !bytes.Equal(r.Labels, first.Labels) {
			return nil, usage("%s and %s were tested on different images", first.Dir, r.Dir)
		}
	}
	list, err := recipes(runs)
	if err != nil {
		return nil, err
	}
	c := &Comparison{Protocol: first.Metrics.Protocol, Images: len(first.Labels), Recipes: list}
	if len(list) > 2 && len(list) == len(runs) {
		if c.Together, err = compareTogether(runs); err != nil {
			return nil, err
		}
	}
	var p []float64
	for i := range c.Recipes {
		for j := i + 1; j < len(c.Recipes); j++ {
			pair, err := comparePair(&c.Recipes[i], &c.Recipes[j])
			if err != nil {
				return nil, err
			}
			c.Pairs, p = append(c.Pairs, pair), append(p, pair.P)
		}
	}
	for i, adjusted := range statistics.Holm(p) {
		c.Pairs[i].AdjustedP = adjusted
		c.Pairs[i].Shown = adjusted < significance
		c.Pairs[i].Words = c.Pairs[i].words(c)
	}
	c.Findings = findings(c)
	return c, nil
}

// compareTogether tests whether any of several runs is right more often than
// another.
func compareTogether(runs []*Run) (*Cochran, error) {
	var right [][]bool
	for _, r := range runs {
		right = append(right, r.Right)
	}
	q, p, err := statistics.CochranQ(right)
	if err != nil {
		return nil, err
	}
	says := "they are not all equally good"
	if p >= significance {
		says = "that any is better than another is not shown"
	}
	return &Cochran{q, p, fmt.Sprintf("of all %d runs: %s (Cochran's Q = %.1f, %s).", len(runs), says, q, chance(p))}, nil
}

// recipes groups runs, the best mean accuracy first.
func recipes(runs []*Run) ([]Recipe, error) {
	var keys []string
	groups := map[string][]*Run{}
	for _, r := range runs {
		key := r.Config.recipe()
		if groups[key] == nil {
			keys = append(keys, key)
		}
		groups[key] = append(groups[key], r)
	}
	var list []Recipe
	for _, key := range keys {
		group := groups[key]
		slices.SortStableFunc(group, func(a, b *Run) int { return cmp.Compare(a.Config.Seed, b.Config.Seed) })
		for i := 1; i < len(group); i++ {
			if group[i].Config.Seed == group[i-1].Config.Seed {
				return nil, usage("%s and %s are the same training, of seed %d: leave one out", group[i-1].Dir, group[i].Dir, group[i].Config.Seed)
			}
		}
		list = append(list, newRecipe(group))
	}
	nameApart(list)
	slices.SortStableFunc(list, func(a, b Recipe) int { return cmp.Compare(b.Accuracy, a.Accuracy) })
	return list, nil
}

// nameApart adds to a name that several recipes have the settings that not all
// of them have: "main_no_aug (lr: 0.01)".
func nameApart(list []Recipe) {
	named := map[string][]*Recipe{}
	for i := range list {
		named[list[i].Name] = append(named[list[i].Name], &list[i])
	}
	for _, same := range named {
		have := map[string]int{} // recipes, by setting
		for _, r := range same {
			for _, setting := range r.settings() {
				have[setting]++
			}
		}
		for _, r := range same {
			own := slices.DeleteFunc(r.settings(), func(setting string) bool { return have[setting] == len(same) })
			if len(own) > 0 {
				r.Name += " (" + strings.Join(own, ", ") + ")"
			}
		}
	}
}

// settings lists what a recipe's runs have in common: "lr: 0.01" and so on.
func (r *Recipe) settings() []string {
	return strings.Split(strings.TrimSpace(r.runs[0].Config.recipe()), "\n")
}

func newRecipe(runs []*Run) Recipe {
	c := runs[0].Config
	c.Name = ""
	r := Recipe{Name: c.RunName(), Preset: c.Preset, Parameters: runs[0].Metrics.Parameters, runs: runs}
	var f1, seconds []float64
	for _, run := range runs {
		r.Seeds = append(r.Seeds, run.Config.Seed)
		r.Accuracies = append(r.Accuracies, run.Metrics.Accuracy)
		f1, seconds = append(f1, run.Metrics.Macro.F1), append(seconds, run.Metrics.TrainingSeconds)
	}
	r.Accuracy, r.MacroF1, r.Seconds = stat.Mean(r.Accuracies, nil), stat.Mean(f1, nil), stat.Mean(seconds, nil)
	if interval, err := statistics.MeanInterval(r.Accuracies); err == nil {
		r.Interval = &interval
	}
	if interval, err := statistics.MeanInterval(f1); err == nil {
		r.F1Interval = &interval
	}
	return r
}

// recipe is what a run's settings say, but for the seed and where and how it ran.
func (c Config) recipe() string {
	c.Seed, c.Name, c.Out, c.Device, c.CPU, c.Threads, c.Validate, c.DataDir = 0, "", "", "", false, 0, false, ""
	c.LogEvery, c.NoProgress, c.Quiet = 0, false, false
	text, err := c.YAML()
	if err != nil {
		panic(err) // of a struct of plain values
	}
	return text
}

func comparePair(a, b *Recipe) (Pair, error) {
	p := Pair{First: a.Name, Second: b.Name}
	first, second := a.runs[0], b.runs[0]
	var seeds []string
	var x, y []float64
	for i, seed := range a.Seeds {
		if j := slices.Index(b.Seeds, seed); j >= 0 {
			if seeds == nil {
				first, second = a.runs[i], b.runs[j]
			}
			seeds = append(seeds, fmt.Sprint(seed))
			x, y = append(x, a.Accuracies[i]), append(y, b.Accuracies[j])
		}
	}
	if len(seeds) >= 2 {
		r, err := statistics.PairedT(x, y)
		if err == nil {
			p.Test = "paired t over seeds " + strings.Join(seeds, ", ")
			p.Difference, p.P, p.Effect = r.Difference, r.P, r.Effect
			return p, nil
		}
	}
	m, err := statistics.McNemar(first.Right, second.Right)
	if err != nil {
		return p, err
	}
	p.Test = fmt.Sprintf("McNemar between %s and %s (%d images right in the first alone, %d in the second)",
		filepath.Base(first.Dir), filepath.Base(second.Dir), m.OnlyFirst, m.OnlySecond)
	p.P, p.networks = m.P, true
	const resamples = 10_000
	p.Difference, err = statistics.Bootstrap(first.Right, second.Right, resamples, 1)
	return p, err
}

// words says what a pair's test shows, and what it does not.
func (p *Pair) words(c *Comparison) string {
	says := chance(p.AdjustedP)
	if len(c.Pairs) > 1 {
		says += " after Holm's correction"
	}
	if p.Effect != 0 {
		says += fmt.Sprintf(", effect size %.1f", math.Abs(p.Effect))
	}
	low, high := p.Difference.Low, p.Difference.High
	if p.Shown {
		better, worse, by := p.First, p.Second, p.Difference.Mean
		if by < 0 {
			better, worse, by, low, high = worse, better, -by, -high, -low
		}
		text := fmt.Sprintf("%s is better than %s by %.2f points: %s, %s.", better, worse, 100*by, points(low, high), says)
		if p.networks {
			text += " That is of these two networks, not of others from other seeds."
		}
		return text
	}
	return fmt.Sprintf("between %s and %s nothing is shown: a difference of %+.2f points on %s images is within noise (%s, %s).",
		p.First, p.Second, 100*p.Difference.Mean, humanize.Comma(int64(c.Images)), points(low, high), says)
}

func points(low, high float64) string {
	return fmt.Sprintf("95 %% interval %+.2f to %+.2f points", 100*low, 100*high)
}

func chance(p float64) string {
	if p < .001 {
		return "p < 0.001"
	}
	return fmt.Sprintf("p = %.2g", p)
}
