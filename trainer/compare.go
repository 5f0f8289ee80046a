package trainer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"
	"gonum.org/v1/gonum/stat"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/metrics"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/statistics"
)

// Run is what the folder of a finished run says.
type Run struct {
	Dir     string
	Config  Config
	Metrics metrics.Metrics
	Labels  []byte // of the test images
	Right   []bool // whether each is classified right
}

// ReadRun reads a run's folder. The error is [ErrUsage] and names what is
// missing.
func ReadRun(dir string) (*Run, error) {
	r := &Run{Dir: dir, Config: DefaultConfig()}
	if err := r.Config.LoadYAML(filepath.Join(dir, ArgsFile)); err != nil {
		return nil, usage("%s is no finished run: %v", dir, err)
	}
	text, err := os.ReadFile(filepath.Join(dir, metricsFile))
	if err != nil {
		return nil, usage("%s is no finished run: %v", dir, err)
	}
	if err := json.Unmarshal(text, &r.Metrics); err != nil {
		return nil, usage("%s: %v", filepath.Join(dir, metricsFile), err)
	}
	labels, predicted, err := metrics.ReadPredictions(filepath.Join(dir, predictionsFile))
	if err != nil {
		return nil, usage("%s has no predictions to compare: %v", dir, err)
	}
	r.Labels = labels
	for i, label := range labels {
		r.Right = append(r.Right, predicted[i] == label)
	}
	return r, nil
}

// FindRuns returns the runs' folders that the given ones are or hold, sorted
// within each.
func FindRuns(dirs []string) ([]string, error) {
	var runs []string
	for _, dir := range dirs {
		if _, err := os.Stat(filepath.Join(dir, ArgsFile)); err == nil {
			runs = append(runs, filepath.Clean(dir))
			continue
		}
		inner, err := filepath.Glob(filepath.Join(dir, "*", metricsFile))
		if err != nil || len(inner) == 0 {
			return nil, usage("%s is no run's folder, and holds none that is finished", dir)
		}
		for _, file := range inner {
			runs = append(runs, filepath.Dir(file))
		}
	}
	return runs, nil
}

// Recipe is what runs have in common that differ in nothing but the seed and
// where they ran.
type Recipe struct {
	Name       string               `json:"name"`
	Seeds      []uint64             `json:"seeds"`
	Accuracies []float64            `json:"accuracies"` // by seed, fractions
	Accuracy   float64              `json:"accuracy"`   // mean
	Interval   *statistics.Interval `json:"interval"`   // of the mean, with two runs or more
	MacroF1    float64              `json:"macro_f1"`   // mean
	Parameters int                  `json:"parameters"`
	Seconds    float64              `json:"training_seconds"` // mean

	runs []*Run
}

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
}

// Comparison is the outcome of [Compare].
type Comparison struct {
	Protocol string   `json:"protocol"`
	Images   int      `json:"images"`
	Recipes  []Recipe `json:"recipes"` // best first
	Pairs    []Pair   `json:"pairs"`   // of recipes; none where there is but one
}

// significance is the level below which a difference counts as shown.
const significance = .05

// Compare compares runs: recipes with two or more common seeds by a paired t
// test over those, others by McNemar's test and a bootstrap interval between
// their first runs. Runs of different protocols, or of other test images, are
// not comparable: that is [ErrUsage].
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
	c := &Comparison{Protocol: first.Metrics.Protocol, Images: len(first.Labels), Recipes: recipes(runs)}
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
	return c, nil
}

// recipes groups runs, the best mean accuracy first.
func recipes(runs []*Run) []Recipe {
	var keys []string
	groups := map[string][]*Run{}
	for _, r := range runs {
		key := r.Config.recipe()
		if groups[key] == nil {
			keys = append(keys, key)
		}
		groups[key] = append(groups[key], r)
	}
	used := map[string]int{}
	var list []Recipe
	for _, key := range keys {
		group := groups[key]
		slices.SortStableFunc(group, func(a, b *Run) int { return int(min(1, max(-1, int64(a.Config.Seed)-int64(b.Config.Seed)))) })
		r := newRecipe(group)
		if used[r.Name]++; used[r.Name] > 1 {
			r.Name = fmt.Sprintf("%s (%s)", r.Name, filepath.Base(group[0].Dir))
		}
		list = append(list, r)
	}
	slices.SortStableFunc(list, func(a, b Recipe) int {
		switch {
		case a.Accuracy > b.Accuracy:
			return -1
		case a.Accuracy < b.Accuracy:
			return 1
		}
		return 0
	})
	return list
}

func newRecipe(runs []*Run) Recipe {
	c := runs[0].Config
	c.Name = ""
	r := Recipe{Name: c.RunName(), Parameters: runs[0].Metrics.Parameters, runs: runs}
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
	var seeds []string
	var x, y []float64
	for i, seed := range a.Seeds {
		if j := slices.Index(b.Seeds, seed); j >= 0 {
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
	first, second := a.runs[0], b.runs[0]
	m, err := statistics.McNemar(first.Right, second.Right)
	if err != nil {
		return p, err
	}
	p.Test = fmt.Sprintf("McNemar between %s and %s (%d images right in the first alone, %d in the second)",
		filepath.Base(first.Dir), filepath.Base(second.Dir), m.OnlyFirst, m.OnlySecond)
	p.P = m.P
	const resamples = 10_000
	p.Difference, err = statistics.Bootstrap(first.Right, second.Right, resamples, 1)
	return p, err
}

// words says what a pair's test shows, and what it does not.
func (p *Pair) words(c *Comparison) string {
	chance := fmt.Sprintf("p = %.2g", p.AdjustedP)
	if p.AdjustedP < .001 {
		chance = "p < 0.001"
	}
	if len(c.Pairs) > 1 {
		chance += " after Holm's correction"
	}
	interval := fmt.Sprintf("95 %% interval %+.2f to %+.2f points", 100*p.Difference.Low, 100*p.Difference.High)
	if p.Shown {
		better, worse, by := p.First, p.Second, p.Difference.Mean
		if by < 0 {
			better, worse, by = worse, better, -by
		}
		return fmt.Sprintf("%s is better than %s by %.2f points: %s, %s.", better, worse, 100*by, interval, chance)
	}
	return fmt.Sprintf("between %s and %s nothing is shown: a difference of %+.2f points on %s images is within noise (%s, %s).",
		p.First, p.Second, 100*p.Difference.Mean, humanize.Comma(int64(c.Images)), interval, chance)
}
