package study

import (
	"slices"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/setting"
)

// Preset is a named training of the original study.
type Preset struct {
	Name, Model, Augment string
	Dropout              float64
	// What the original reached, as fractions, selecting on the test set.
	OriginalAccuracy, OriginalMacroF1 float64
}

// Presets lists the original's five trainings, best first.
func Presets() []Preset {
	return []Preset{
		{"main_no_aug", "fashioncnn", "none", .25, .9271, .9273},
		{"main_no_dropout", "fashioncnn", "original", 0, .9080, .9072},
		{"main_aug_dropout", "fashioncnn", "original", .25, .8995, .8980},
		{"alternative_shallow", "alternative", "original", .25, .8831, .8822},
		{"baseline_logistic", "logistic", "original", 0, .6698, .6647},
	}
}

// FindPreset returns the preset with the given name and whether there is one.
func FindPreset(name string) (Preset, bool) {
	all := Presets()
	i := slices.IndexFunc(all, func(p Preset) bool { return p.Name == name })
	if i < 0 {
		return Preset{}, false
	}
	return all[i], true
}

// ApplyPreset sets model, augmentation and dropout as the named preset does. An
// unknown name is [trainer.ErrUsage].
func (c *Config) ApplyPreset(name string) error {
	if p, ok := FindPreset(name); ok {
		c.Preset, c.Model, c.Network, c.Augment, c.Dropout = p.Name, p.Model, "", p.Augment, &p.Dropout
		return nil
	}
	return setting.Choice(presetNames()...).Check("preset", name)
}

func presetNames() []string {
	var list []string
	for _, p := range Presets() {
		list = append(list, p.Name)
	}
	return list
}
