package study

import (
	"fmt"
	"math"
	"slices"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/setting"
)

// The rates and the number of epochs of the original's learning-rate study.
var originalRates = []float64{.01, .001, .0001}

const originalRateEpochs = 5

// The groups of [OriginalExperiment].
const (
	trainingsGroup = "Trainings"
	ratesGroup     = "Learning rates"
)

// OriginalExperiment returns the original's study: its five trainings with every
// seed, then its learning-rate study (of its best training) with the first seed.
// By default the seed is 42 and, as in the original, the test set selects the best
// epoch. Overrides replace settings of every run; a seed may be a list such as
// "42-46". Overriding a setting that the study itself compares is [trainer.ErrUsage].
func OriginalExperiment(overrides ...setting.Assignment) (Experiment, error) {
	seeds, shared, err := originalSettings(overrides)
	if err != nil {
		return Experiment{}, err
	}
	e := Experiment{Name: "original", Groups: []Group{{Name: trainingsGroup}, {Name: ratesGroup}}}
	add := func(group *Group, preset, name string, seed setting.Assignment, change func(c *Config)) error {
		c := DefaultConfig()
		change(&c)
		if err := c.Apply(append([]setting.Assignment{{Name: "preset", Value: preset}, seed}, shared...)...); err != nil {
			return err
		}
		c.Name = fmt.Sprintf("%s-seed%d", name, c.Seed)
		group.Runs = append(group.Runs, c)
		return c.Check()
	}
	for _, seed := range seeds {
		for _, p := range Presets() {
			if err := add(&e.Groups[0], p.Name, p.Name, seed, func(*Config) {}); err != nil {
				return e, err
			}
		}
	}
	for _, rate := range originalRates {
		err := add(&e.Groups[1], "main_no_aug", fmt.Sprintf("lr%v", rate), seeds[0], func(c *Config) { c.LR, c.Epochs = rate, originalRateEpochs })
		if err != nil {
			return e, err
		}
	}
	first := e.Groups[0].Runs[0]
	if first.SelectOn != originalProtocol {
		e.Name += "-" + first.SelectOn
	}
	if first.Precision != DefaultConfig().Precision {
		e.Name += "-" + first.Precision
	}
	return e, e.check("the experiment original")
}

// originalProtocol names the images on which the original selected the best epoch.
const originalProtocol = "test"

// originalKeys are the settings that the original's study itself sets.
var originalKeys = []string{"preset", "model", "augment", "dropout", "lr", "name"}

// originalSettings returns the seeds of the original's study, and the settings
// that all of its runs share.
func originalSettings(overrides []setting.Assignment) (seeds, shared []setting.Assignment, err error) {
	f := experimentText{base: []setting.Assignment{{Name: "select-on", Value: originalProtocol}}}
	f.setAxis(axis{"seed", []setting.Assignment{{Name: "seed", Value: DefaultConfig().Value("seed")}}})
	for _, o := range overrides {
		if slices.Contains(originalKeys, o.Name) {
			return nil, nil, usage("%s: the experiment original sets %s itself: write an experiment file to vary it", o.Source, o.Name)
		}
	}
	if err := f.override(overrides); err != nil {
		return nil, nil, err
	}
	return f.axes[0].values, f.base, nil
}

// IsPreset returns the preset whose training the settings describe, and whether
// there is one. Only settings that cannot change a recipe, and the seed, protocol
// and precision, may differ from the original's.
func (c Config) IsPreset() (Preset, bool) {
	p, ok := FindPreset(c.Preset)
	if !ok {
		return p, false
	}
	original := DefaultConfig()
	if err := original.ApplyPreset(p.Name); err != nil {
		return p, false
	}
	original.SelectOn, original.Precision = c.SelectOn, c.Precision
	return p, original.recipe() == c.recipe()
}

// Finding is the result of testing one of the original's conclusions.
type Finding struct {
	Claim   string `json:"claim"`
	Verdict string `json:"verdict"` // confirmed, refuted or not shown
	Words   string `json:"words"`
}

// originalFindings are the original's conclusions. Each says that one preset is
// better than another.
var originalFindings = []struct{ claim, better, worse string }{
	{"augmentation hurts", "main_no_aug", "main_aug_dropout"},
	{"dropout hurts", "main_no_dropout", "main_aug_dropout"},
	{"deeper beats shallow", "main_aug_dropout", "alternative_shallow"},
}

// findings tests each of the original's conclusions whose two trainings are in the
// comparison.
func findings(c *Comparison) []Finding {
	presets := map[string]string{} // by the name of the recipe
	for _, r := range c.Recipes {
		if p, ok := r.runs[0].Config.IsPreset(); ok {
			presets[r.Name] = p.Name
		}
	}
	var list []Finding
	for _, f := range originalFindings {
		for _, p := range c.Pairs {
			d, first, second := p.Difference, presets[p.First], presets[p.Second]
			switch {
			case first == f.better && second == f.worse:
			case first == f.worse && second == f.better:
				d.Mean, d.Low, d.High = -d.Mean, -d.High, -d.Low
			default:
				continue
			}
			p.Difference = d // p is a copy
			list = append(list, Finding{f.claim, verdict(p.Shown, d.Mean), findingWords(&p, len(c.Pairs))})
		}
	}
	return list
}

func verdict(shown bool, difference float64) string {
	switch {
	case !shown:
		return "not shown"
	case difference > 0:
		return "confirmed"
	}
	return "refuted"
}

// findingWords describes a difference, counted positive in the direction of the
// claim; pairs is the number of pairs that were tested.
func findingWords(p *Pair, pairs int) string {
	d := p.Difference
	text := fmt.Sprintf("%+.2f points (%s), %s", inPoints(d.Mean), points(d.Low, d.High, pairs), chance(p.AdjustedP))
	if pairs > 1 {
		text += " after Holm's correction"
	}
	if p.Effect != 0 {
		text += fmt.Sprintf(", effect size %.1f", math.Abs(p.Effect))
	}
	if p.networks {
		text += "; between two networks, not over seeds"
	}
	return text
}
