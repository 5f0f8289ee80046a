package study

import (
	"embed"
	"path"
	"slices"
	"strings"
)

// Preset is a named training of the original study. The project's own presets are
// files of settings; see [PresetNames].
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

// FindPreset returns the original's preset with the given name and whether there is
// one.
func FindPreset(name string) (Preset, bool) {
	all := Presets()
	i := slices.IndexFunc(all, func(p Preset) bool { return p.Name == name })
	if i < 0 {
		return Preset{}, false
	}
	return all[i], true
}

// ownPresets holds the project's own presets, each a file of settings.
//
//go:embed presets/*.yaml
var ownPresets embed.FS

// presetFile returns the name in ownPresets of a preset's file.
func presetFile(name string) string { return path.Join("presets", name+".yaml") }

// PresetNames returns the values of the setting preset: the original's trainings,
// then the project's own recipes.
func PresetNames() []string {
	var list []string
	for _, p := range Presets() {
		list = append(list, p.Name)
	}
	files, err := ownPresets.ReadDir("presets")
	if err != nil {
		panic(err) // cannot happen: the folder is embedded
	}
	for _, f := range files {
		list = append(list, strings.TrimSuffix(f.Name(), ".yaml"))
	}
	return list
}

// ApplyPreset makes the settings of the named preset: model, augmentation and
// dropout of a training of the original study, or all that a recipe of the
// project's own names. An unknown name is [trainer.ErrUsage].
func (c *Config) ApplyPreset(name string) error {
	if err := presets.Check("preset", name); err != nil {
		return err
	}
	if p, ok := FindPreset(name); ok {
		c.Model, c.Network, c.Augment, c.Dropout = p.Model, "", p.Augment, &p.Dropout
	} else {
		text, err := ownPresets.ReadFile(presetFile(name))
		if err != nil {
			return err
		}
		if err := c.ParseYAML(name, text); err != nil {
			return err
		}
	}
	c.Preset = name
	return nil
}
