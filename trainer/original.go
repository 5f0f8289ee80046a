package trainer

import (
	"fmt"
	"math"
)

// The original's learning-rate study: these rates, for so many epochs.
var originalRates = []float64{.01, .001, .0001}

const originalRateEpochs = 5

// The groups of [OriginalExperiment].
const (
	trainingsGroup = "Trainings"
	ratesGroup     = "Learning rates"
)

// OriginalExperiment is the original's study: its five trainings with every
// seed, then its learning-rate study (of its best training) with the first
// seed. selectOn is "test" for the original's protocol.
func OriginalExperiment(seeds []uint64, selectOn, precision string) (Experiment, error) {
	e := Experiment{Name: "original", Groups: []Group{{Name: trainingsGroup}, {Name: ratesGroup}}}
	if selectOn != "test" {
		e.Name += "-" + selectOn
	}
	if precision != "fp32" {
		e.Name += "-" + precision
	}
	add := func(group *Group, preset, name string, seed uint64, change func(c *Config)) error {
		c := DefaultConfig()
		if err := c.ApplyPreset(preset); err != nil {
			return err
		}
		c.Seed, c.SelectOn, c.Precision, c.Name = seed, selectOn, precision, fmt.Sprintf("%s-seed%d", name, seed)
		change(&c)
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
	return e, e.check("the experiment original")
}

// IsPreset returns the preset that the settings train exactly as the original
// did, whatever the seed, the protocol and the precision are.
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

// Finding is one of the original's conclusions, tested.
type Finding struct {
	Claim   string `json:"claim"`
	Verdict string `json:"verdict"` // confirmed, refuted or not shown
	Words   string `json:"words"`
}

// originalFindings are the original's conclusions, each that one preset is
// better than another.
var originalFindings = []struct{ claim, better, worse string }{
	{"augmentation hurts", "main_no_aug", "main_aug_dropout"},
	{"dropout hurts", "main_no_dropout", "main_aug_dropout"},
	{"deeper beats shallow", "main_aug_dropout", "alternative_shallow"},
}

// findings says of each of the original's conclusions whether a comparison that
// has both of its trainings confirms it.
func findings(c *Comparison) []Finding {
	presets := map[string]string{} // the name of a recipe that is one
	for _, r := range c.Recipes {
		if p, ok := r.runs[0].Config.IsPreset(); ok {
			presets[r.Name] = p.Name
		}
	}
	var list []Finding
	for _, f := range originalFindings {
		for _, p := range c.Pairs {
			difference, first, second := p.Difference.Mean, presets[p.First], presets[p.Second]
			switch {
			case first == f.better && second == f.worse:
			case first == f.worse && second == f.better:
				difference = -difference
			default:
				continue
			}
			list = append(list, Finding{f.claim, verdict(p.Shown, difference), findingWords(&p, difference, len(c.Pairs) > 1)})
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

// findingWords words a difference in the direction of the claim.
func findingWords(p *Pair, difference float64, corrected bool) string {
	low, high := p.Difference.Low, p.Difference.High
	if difference != p.Difference.Mean {
		low, high = -high, -low
	}
	text := fmt.Sprintf("%+.2f points (%s), %s", inPoints(difference), points(low, high), chance(p.AdjustedP))
	if corrected {
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
