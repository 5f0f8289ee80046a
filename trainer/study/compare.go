package study

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/dustin/go-humanize"
	"golang.org/x/sync/errgroup"
	"gonum.org/v1/gonum/stat"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/statistics"
)

// RecipeRuns is a set of runs that differ only in their seeds and in where they ran.
// Accuracies and F1 scores are fractions.
type RecipeRuns struct {
	Name string `json:"name"`
	// Rank is the recipe's place by [Comparison.RankedBy], from 1, the best; equal
	// figures share a rank.
	Rank  int      `json:"rank"`
	Seeds []uint64 `json:"seeds"`
	// The validation accuracies of the epochs whose weights were kept; nil if any
	// run has none, because it selected on the test images or evaluated no epoch.
	ValAccuracies []float64            `json:"val_accuracies,omitempty"` // by seed, fractions
	ValAccuracy   *float64             `json:"val_accuracy"`             // mean
	ValInterval   *statistics.Interval `json:"val_interval"`             // of the mean, with two runs or more
	Accuracies    []float64            `json:"accuracies"`               // on the test images, by seed, fractions
	Accuracy      float64              `json:"accuracy"`                 // mean
	Interval      *statistics.Interval `json:"interval"`                 // of the mean, with two runs or more
	MacroF1       float64              `json:"macro_f1"`                 // mean, on the test images
	F1Interval    *statistics.Interval `json:"macro_f1_interval"`
	Preset        string               `json:"preset,omitempty"`
	Parameters    int                  `json:"parameters"`
	Seconds       float64              `json:"training_seconds"` // mean

	runs []*Run
}

// Runs returns the recipe's runs, by seed.
func (r RecipeRuns) Runs() []*Run { return r.runs }

// Pair is the comparison of two recipes on the test images.
type Pair struct {
	First      string              `json:"first"`
	Second     string              `json:"second"`
	Test       string              `json:"test"`
	Difference statistics.Interval `json:"difference"` // of the test accuracies, first minus second
	P          float64             `json:"p"`
	AdjustedP  float64             `json:"adjusted_p"`       // P after Holm's correction for the number of pairs
	Effect     float64             `json:"effect,omitempty"` // Cohen's d_z over seeds; 0 for McNemar's test
	Shown      bool                `json:"shown"`            // AdjustedP is below .05
	Words      string              `json:"words"`

	networks bool // the test compares two networks, not recipes over seeds
}

// The values of [Comparison.RankedBy].
const (
	ByValAccuracy  = "val_accuracy"
	ByTestAccuracy = "test_accuracy"
)

// Comparison is the outcome of [Compare].
type Comparison struct {
	Name     string       `json:"name,omitempty"` // the group's name
	Protocol string       `json:"protocol"`
	Images   int          `json:"images"`             // number of test images
	RankedBy string       `json:"ranked_by"`          // ByValAccuracy, or ByTestAccuracy if no recipe has a validation accuracy
	Recipes  []RecipeRuns `json:"recipes"`            // best first
	Notes    []string     `json:"notes"`              // sentences: which conclusions the figures allow
	Pairs    []Pair       `json:"pairs"`              // every pair of recipes; empty if there is only one recipe
	Together *Cochran     `json:"cochran"`            // nil unless there are three or more recipes with one run each
	Findings []Finding    `json:"findings,omitempty"` // the original's conclusions, if its trainings are among the recipes
	// Unfinished names the runs of the experiment or folder that are left out because
	// they are in progress, diverged or missing.
	Unfinished []string `json:"unfinished,omitempty"`
}

// Cochran is the outcome of Cochran's Q test on several runs.
type Cochran struct {
	Q     float64 `json:"q"`
	P     float64 `json:"p"`
	Words string  `json:"words"`
}

// CompareGroups compares the runs within every group that has two or more. Runs
// that were tested on different images, or chose their weights in different ways, are
// not comparable: such a group becomes several comparisons, or none if no two runs are
// comparable.
func CompareGroups(groups []RunGroup) ([]*Comparison, error) {
	var list []*Comparison
	for _, g := range groups {
		parts := comparableParts(g.Runs)
		if !slices.ContainsFunc(parts, func(part []*Run) bool { return len(part) > 1 }) {
			continue
		}
		names := partNames(parts)
		for i, part := range parts {
			c, err := compareRuns(part)
			if err != nil {
				return nil, err
			}
			c.Name, c.Unfinished = g.Name, g.Unfinished
			if len(parts) > 1 {
				c.Name = names[i]
				if g.Name != "" {
					c.Name = g.Name + ", " + c.Name
				}
				c.Notes = append(c.Notes, "Runs that were tested on other images, or chose their weights in another way, are in a separate table: their figures are not comparable.")
			}
			list = append(list, c)
		}
	}
	return list, nil
}

// comparableParts groups runs by how they chose their weights and by the images on which
// they were tested, in the order in which either first occurs.
func comparableParts(runs []*Run) [][]*Run {
	var parts [][]*Run
	for _, r := range runs {
		i := slices.IndexFunc(parts, func(part []*Run) bool {
			return part[0].Metrics.Protocol == r.Metrics.Protocol && sameTest(part[0], r)
		})
		if i < 0 {
			i, parts = len(parts), append(parts, nil)
		}
		parts[i] = append(parts[i], r)
	}
	return parts
}

// partNames names the groups of [comparableParts] by what tells them apart.
func partNames(parts [][]*Run) []string {
	names := make([]string, len(parts))
	var protocols, tests bool // differ
	for _, part := range parts {
		protocols = protocols || part[0].Metrics.Protocol != parts[0][0].Metrics.Protocol
		tests = tests || !sameTest(part[0], parts[0][0])
	}
	for i, part := range parts {
		var words []string
		if tests {
			words = append(words, fmt.Sprintf("%s images of %s", humanize.Comma(int64(len(part[0].Labels))), part[0].Config.Dataset))
		}
		if protocols {
			words = append(words, selection(part[0].Metrics.Protocol))
		}
		names[i] = strings.Join(words, ", ")
	}
	seen := map[string]int{}
	for i, name := range names { // versions of one dataset have the same
		if seen[name]++; seen[name] > 1 {
			names[i] = fmt.Sprintf("%s (%d)", name, seen[name])
		}
	}
	return names
}

// selection says on which images runs of a protocol selected their epoch.
func selection(protocol string) string {
	if protocol == "none" {
		return "weights of the last epoch"
	}
	return "selected on " + protocol
}

// significance is the level below which a difference is significant.
const significance = .05

// Compare compares runs. It ranks recipes by mean validation accuracy, or by
// mean test accuracy if no recipe has a validation accuracy. It tests differences
// on the test images: between recipes with two or more common seeds by a paired
// t test over those seeds, between others by McNemar's test and a bootstrap
// interval on one run of each. Of runs that are
// the same training, the last is compared. A single training, and runs with different
// protocols or test images, are [trainer.ErrUsage]; runs must not be empty.
func Compare(runs []*Run) (*Comparison, error) {
	if len(runs) < 2 {
		return nil, usage("nothing to compare %s with: name two or more finished runs", runs[0].Dir)
	}
	if kept, _ := withoutRepeats(runs); len(kept) < 2 {
		return nil, usage("nothing to compare: %s and %s are the same training with seed %d", runs[0].Dir, runs[1].Dir, runs[0].Config.Seed)
	}
	return compareRuns(runs)
}

// withoutRepeats leaves out runs that a later one repeats, with a sentence about each.
func withoutRepeats(runs []*Run) (kept []*Run, notes []string) {
	type training struct {
		recipe string
		seed   uint64
	}
	last := map[training]*Run{}
	for _, r := range runs {
		last[training{r.recipe(), r.Config.Seed}] = r
	}
	for _, r := range runs {
		if repeat := last[training{r.recipe(), r.Config.Seed}]; repeat != r {
			notes = append(notes, fmt.Sprintf("%s is left out: %s is the same training.", r.Dir, repeat.Dir))
			continue
		}
		kept = append(kept, r)
	}
	return kept, notes
}

func compareRuns(runs []*Run) (*Comparison, error) {
	first := runs[0]
	for _, r := range runs[1:] {
		if r.Metrics.Protocol != first.Metrics.Protocol {
			return nil, usage("%s (%s) and %s (%s) are not comparable: they chose their weights in different ways",
				first.Dir, selection(first.Metrics.Protocol), r.Dir, selection(r.Metrics.Protocol))
		}
		if !sameTest(first, r) {
			return nil, usage("%s and %s were tested on different images: their figures are not comparable", first.Dir, r.Dir)
		}
	}
	runs, repeats := withoutRepeats(runs)
	list, err := recipes(runs)
	if err != nil {
		return nil, err
	}
	c := &Comparison{Protocol: first.Metrics.Protocol, Images: len(first.Labels), Recipes: list}
	c.rank()
	if len(list) > 2 && len(list) == len(runs) {
		if c.Together, err = compareTogether(runs); err != nil {
			return nil, err
		}
	}
	if err := c.comparePairs(); err != nil {
		return nil, err
	}
	c.Notes = append(c.notes(), repeats...)
	c.Findings = findings(c)
	return c, nil
}

// sameTest reports whether two runs were tested on the same images. Those of one dataset may
// have been scaled to other sizes, and their hashes then tell nothing.
func sameTest(a, b *Run) bool {
	if !bytes.Equal(a.Labels, b.Labels) {
		return false
	}
	scaledAlike := a.Config.ImageSize == b.Config.ImageSize && a.Config.SkipBad == b.Config.SkipBad
	return a.Config.Dataset == b.Config.Dataset && !scaledAlike || !slices.ContainsFunc(changedFiles(a, b), isOfTest)
}

// sameTraining reports whether two runs were trained on the same images, as far as their
// hashes tell.
func sameTraining(a, b *Run) bool {
	return !slices.ContainsFunc(changedFiles(a, b), func(name string) bool { return !isOfTest(name) })
}

// changedFiles lists the splits, or files of IDX images, of which the runs' datasets have
// different hashes.
func changedFiles(a, b *Run) (names []string) {
	for name, hash := range a.Environment.SHA256 {
		if other, both := b.Environment.SHA256[name]; both && other != hash {
			names = append(names, name)
		}
	}
	return names
}

// recipe returns the settings that decide the run's weights, but the seed, with a digest of
// the training images in place of the dataset's folder, which may have moved.
func (r *Run) recipe() string {
	var trained []string
	for name, hash := range r.Environment.SHA256 {
		if !isOfTest(name) {
			trained = append(trained, name+" "+hash)
		}
	}
	c := r.Config
	if len(trained) > 0 && c.Dataset != dataset.FashionMNIST.Name {
		slices.Sort(trained)
		c.Dataset = digest(strings.Join(trained, "\n"))
	}
	return c.recipe()
}

func isOfTest(name string) bool {
	name = strings.ToLower(name)
	return strings.Contains(name, "test") || strings.Contains(name, "t10k")
}

// rank sorts the recipes, best first. Recipes without the figure that the others
// are ranked by come last. The sort is stable.
func (c *Comparison) rank() {
	c.RankedBy = ByTestAccuracy
	for _, r := range c.Recipes {
		if r.ValAccuracy != nil {
			c.RankedBy = ByValAccuracy
		}
	}
	figure := func(r *RecipeRuns) float64 {
		switch {
		case c.RankedBy == ByTestAccuracy:
			return rounded(r.Accuracy)
		case r.ValAccuracy != nil:
			return rounded(*r.ValAccuracy)
		}
		return math.Inf(-1)
	}
	slices.SortStableFunc(c.Recipes, func(a, b RecipeRuns) int { return cmp.Compare(figure(&b), figure(&a)) })
	for i := range c.Recipes {
		c.Recipes[i].Rank = i + 1
		if i > 0 && figure(&c.Recipes[i]) == figure(&c.Recipes[i-1]) {
			c.Recipes[i].Rank = c.Recipes[i-1].Rank
		}
	}
}

// rounded drops the digits of a mean that depend on the order of summation, so
// that equal accuracies compare equal.
func rounded(x float64) float64 { return math.Round(x*1e9) / 1e9 }

// fewSeeds is the number of seeds below which an interval over them says little.
const fewSeeds = 5

// notes returns sentences on how the recipes are ranked and which conclusions
// their figures allow.
func (c *Comparison) notes() []string {
	notes := []string{c.rankingNote()}
	least, tested := math.MaxInt, 0
	for _, r := range c.Recipes {
		if n := len(r.Seeds); n > 1 {
			least = min(least, n)
		}
		if c.RankedBy == ByValAccuracy && r.ValAccuracy == nil {
			notes = append(notes, r.Name+" has no validation accuracy and is ranked last.")
		}
	}
	for _, p := range c.Pairs {
		if p.networks {
			tested++
		}
	}
	if least < fewSeeds {
		notes = append(notes, fmt.Sprintf("An interval over only %d seeds is wide and uncertain: use %d or more.", least, fewSeeds))
	}
	if tested > 0 {
		notes = append(notes, "McNemar's test compares two networks, not two recipes: other seeds may give another difference.")
	}
	return notes
}

// rankingNote says what the recipes are ranked by and how to choose among them.
func (c *Comparison) rankingNote() string {
	switch {
	case c.RankedBy == ByValAccuracy:
		return "Ranked by validation accuracy. Choose a recipe by it: a test accuracy that was used to choose is optimistic."
	case c.Protocol == "test":
		return "Ranked by test accuracy: these runs selected their best epoch on the test images and have no validation accuracy. " +
			"Their accuracies are optimistic. Do not choose a recipe by them: train with select-on val and choose by validation accuracy."
	}
	return "Ranked by test accuracy: these runs have no validation accuracy. Choosing a recipe by test accuracy makes that accuracy optimistic: " +
		"train with select-on val and choose by validation accuracy."
}

// comparePairs compares all pairs of recipes, several in parallel: a bootstrap
// takes milliseconds, and a hundred recipes make 4,950 pairs.
func (c *Comparison) comparePairs() error {
	n := len(c.Recipes)
	c.Pairs = make([]Pair, n*(n-1)/2)
	group := errgroup.Group{}
	group.SetLimit(runtime.GOMAXPROCS(0))
	k := 0
	for i := range c.Recipes {
		for j := i + 1; j < n; j++ {
			pair := &c.Pairs[k]
			group.Go(func() (err error) {
				*pair, err = comparePair(&c.Recipes[i], &c.Recipes[j])
				return err
			})
			k++
		}
	}
	if err := group.Wait(); err != nil {
		return err
	}
	p := make([]float64, len(c.Pairs))
	for i := range c.Pairs {
		p[i] = c.Pairs[i].P
	}
	for i, adjusted := range statistics.Holm(p) {
		c.Pairs[i].AdjustedP = adjusted
		c.Pairs[i].Shown = adjusted < significance
		c.Pairs[i].Words = c.Pairs[i].words(len(p))
	}
	return nil
}

// allPairs is the largest number of pairs that are all worth reading.
const allPairs = 10

// MainPairs splits the pairs into those to read first and the others: the main
// pairs are all of them if there are few, else those of the best recipe.
func (c *Comparison) MainPairs() (main, others []Pair) {
	if len(c.Pairs) <= allPairs {
		return c.Pairs, nil
	}
	n := len(c.Recipes) - 1 // the first recipe's pairs come first
	return c.Pairs[:n], c.Pairs[n:]
}

// compareTogether tests whether several runs are equally accurate.
func compareTogether(runs []*Run) (*Cochran, error) {
	var right [][]bool
	for _, r := range runs {
		right = append(right, r.Right)
	}
	q, p, err := statistics.CochranQ(right)
	if err != nil {
		return nil, err
	}
	says := "their accuracies differ significantly"
	if p >= significance {
		says = "no significant difference"
	}
	return &Cochran{q, p, fmt.Sprintf("All %d runs together: %s (Cochran's Q = %.1f, %s).", len(runs), says, q, chance(p))}, nil
}

// recipes groups runs into recipes, in the order of each recipe's first run.
func recipes(runs []*Run) ([]RecipeRuns, error) {
	var keys []string
	groups := map[string][]*Run{}
	alike := map[string]*Run{} // the first run with the same settings
	for _, r := range runs {
		settings, key := r.Config.recipe(), r.recipe()
		first := cmp.Or(alike[settings], r)
		if alike[settings] = first; !sameTraining(first, r) {
			return nil, usage("%s and %s have the same settings, but were trained on different images: their dataset, %s, has changed in between", first.Dir, r.Dir, r.Config.Dataset)
		}
		if groups[key] == nil {
			keys = append(keys, key)
		}
		groups[key] = append(groups[key], r)
	}
	var list []RecipeRuns
	for _, key := range keys {
		group := groups[key]
		slices.SortStableFunc(group, func(a, b *Run) int { return cmp.Compare(a.Config.Seed, b.Config.Seed) })
		for i := 1; i < len(group); i++ {
			if group[i].Config.Seed == group[i-1].Config.Seed {
				return nil, usage("%s and %s are the same training with seed %d: leave one out", group[i-1].Dir, group[i].Dir, group[i].Config.Seed)
			}
		}
		list = append(list, newRecipe(group))
	}
	nameApart(list)
	return list, nil
}

// nameApart tells recipes of the same name apart: it adds to their names the
// settings that half of them or fewer have, as in "main_no_aug (lr: 0.01)" or, if that is
// not enough, all settings that not all of them have.
func nameApart(list []RecipeRuns) {
	named := map[string][]*RecipeRuns{}
	for i := range list {
		named[list[i].Name] = append(named[list[i].Name], &list[i])
	}
	for name, same := range named {
		have := map[string]int{} // number of recipes by setting
		for _, r := range same {
			for _, setting := range r.settings() {
				have[setting]++
			}
		}
		for _, most := range []int{len(same) / 2, len(same) - 1} {
			apart := map[string]bool{}
			for _, r := range same {
				r.Name = name
				if own := slices.DeleteFunc(r.settings(), func(setting string) bool { return have[setting] > most }); len(own) > 0 {
					r.Name += " (" + strings.Join(own, ", ") + ")"
				}
				apart[r.Name] = true
			}
			if len(apart) == len(same) {
				break
			}
		}
	}
}

// settings lists the settings that a recipe's runs share, such as "lr: 0.01".
func (r *RecipeRuns) settings() []string {
	return strings.Split(strings.TrimSpace(r.runs[0].Config.recipe()), "\n")
}

func newRecipe(runs []*Run) RecipeRuns {
	c := runs[0].Config
	c.Name = ""
	r := RecipeRuns{Name: c.RunName(), Preset: c.Preset, Parameters: runs[0].Metrics.Parameters, runs: runs}
	var f1, seconds []float64
	for _, run := range runs {
		r.Seeds = append(r.Seeds, run.Config.Seed)
		r.Accuracies = append(r.Accuracies, run.Metrics.Accuracy)
		f1, seconds = append(f1, run.Metrics.Macro.F1), append(seconds, run.Metrics.TrainingSeconds)
		if val, ok := run.ValAccuracy(); ok {
			r.ValAccuracies = append(r.ValAccuracies, val)
		}
	}
	r.Accuracy, r.MacroF1, r.Seconds = stat.Mean(r.Accuracies, nil), stat.Mean(f1, nil), stat.Mean(seconds, nil)
	r.Interval, r.F1Interval = fractionInterval(r.Accuracies), fractionInterval(f1)
	if len(r.ValAccuracies) < len(runs) { // a mean over some of the runs is not the recipe's
		r.ValAccuracies = nil
		return r
	}
	r.ValAccuracy, r.ValInterval = new(stat.Mean(r.ValAccuracies, nil)), fractionInterval(r.ValAccuracies)
	return r
}

// fractionInterval returns the confidence interval of the mean of two or more
// fractions, and nil for one.
func fractionInterval(x []float64) *statistics.Interval {
	interval, err := statistics.MeanInterval(x)
	if err != nil {
		return nil
	}
	return new(interval.Within(0, 1))
}

func comparePair(a, b *RecipeRuns) (Pair, error) {
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
			p.Difference, p.P, p.Effect = r.Difference.Within(-1, 1), r.P, r.Effect
			return p, nil
		}
	}
	m, err := statistics.McNemar(first.Right, second.Right)
	if err != nil {
		return p, err
	}
	p.Test = fmt.Sprintf("McNemar between %s and %s (only the first classifies %d images correctly, only the second %d)",
		filepath.Base(first.Dir), filepath.Base(second.Dir), m.OnlyFirst, m.OnlySecond)
	if len(seeds) >= 2 {
		p.Test += "; over the seeds all differences are equal, which no t test can judge"
	}
	p.P, p.networks = m.P, true
	const resamples = 10_000
	p.Difference, err = statistics.Bootstrap(first.Right, second.Right, resamples, 1)
	return p, err
}

// words says in a sentence what the pair's test shows; pairs is the number of
// pairs that were tested.
func (p *Pair) words(pairs int) string {
	low, high := p.Difference.Low, p.Difference.High
	if !p.Shown {
		return fmt.Sprintf("No significant difference between %s and %s: %+.2f points (%s, %s).",
			p.First, p.Second, inPoints(p.Difference.Mean), points(low, high, pairs), p.evidence(pairs))
	}
	better, worse, by := p.First, p.Second, p.Difference.Mean
	if by < 0 {
		better, worse, by, low, high = worse, better, -by, -high, -low
	}
	return fmt.Sprintf("%s is better than %s by %.2f points (%s, %s).", better, worse, inPoints(by), points(low, high, pairs), p.evidence(pairs))
}

// evidence returns the p-value and, for a test over seeds, the effect size.
func (p *Pair) evidence(pairs int) string {
	text := chance(p.AdjustedP)
	if pairs > 1 {
		text += " after Holm's correction"
	}
	if p.Effect != 0 {
		text += fmt.Sprintf(", effect size %.1f", math.Abs(p.Effect))
	}
	return text
}

// points says the interval of a difference. Unlike p-values, intervals are not adjusted
// for the number of pairs.
func points(low, high float64, pairs int) string {
	text := fmt.Sprintf("95 %% interval %.2f to %.2f", inPoints(low), inPoints(high))
	if pairs > 1 {
		text = "unadjusted " + text
	}
	return text
}

// inPoints returns a fraction in percentage points, rounded to two decimals. It
// never returns negative zero.
func inPoints(x float64) float64 { return math.Round(1e4*x)/100 + 0 }

// chance says a p-value, with more than two digits where those would be on the other side
// of the limit.
func chance(p float64) string {
	if p < .001 {
		return "p < 0.001"
	}
	for digits := 2; ; digits++ {
		text := strconv.FormatFloat(p, 'g', digits, 64)
		if rounded, err := strconv.ParseFloat(text, 64); err != nil || (rounded < significance) == (p < significance) {
			return "p = " + text
		}
	}
}
