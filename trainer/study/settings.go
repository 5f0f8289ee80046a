package study

import (
	"slices"

	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/internal/limitedfile"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/setting"
)

// Settings lists all settings of a run: those of its network and recipe, and those
// that say on what and where it is trained.
func Settings() setting.Table { return settings }

var settings = slices.Concat(
	setting.Table{{Name: "preset", Kind: optional(presets)}},
	trainer.NetworkSettings(),
	setting.Table{
		{Name: "dataset", Kind: setting.Name([]string{dataset.FashionMNIST.Name}, "a folder of IDX files or of pictures in class folders")},
		{Name: "image-size", Kind: setting.Whole(0, dataset.MaxImageSize)},
		{Name: "skip-bad", Kind: setting.Bool()},
	},
	trainer.RecipeSettings(),
	setting.Table{
		{Name: "init", Kind: setting.Path("FILE", "a .safetensors or .pth file, or a run's folder")},
		{Name: "device", Kind: setting.Text("DEVICE", "the index, name or UUID of a Vulkan device")},
		{Name: "cpu", Kind: setting.Bool()},
		{Name: "threads", Kind: setting.Whole(0, 1<<12)},
		{Name: "validate", Kind: setting.Bool()},
		{Name: "data-dir", Kind: setting.Path("FOLDER", "a folder")},
		{Name: "out", Kind: setting.Path("FOLDER", "a folder")},
		{Name: "name", Kind: setting.FolderName("a name for the run's folder, not a path")},
		{Name: "log-every", Kind: setting.Whole(0, 1<<31-1)},
		{Name: "checkpoint-every", Kind: setting.Number("0 or a number of seconds up to 1000000", func(x float64) bool { return x >= 0 && x <= 1e6 })},
		{Name: "no-progress", Kind: setting.Bool()},
		{Name: "quiet", Kind: setting.Bool()},
	})

// optional is a kind of which the zero value stands for none.
func optional(k setting.Kind) setting.Kind {
	k.Optional = true
	return k
}

// presets is the kind of the setting preset.
var presets = setting.Choice(PresetNames()...)

// argsSettings are the settings of a run's args.yaml, whose preset may no longer exist.
var argsSettings = slices.Concat(
	setting.Table{{Name: "preset", Kind: optional(setting.FolderName("the name of a preset"))}},
	settings[1:])

// placeSettings are the settings that say where a run's files are and how it runs.
// All others decide its weights.
var placeSettings = []string{"device", "cpu", "threads", "validate", "data-dir", "out", "name", "log-every", "checkpoint-every", "no-progress", "quiet"}

// Apply makes the assignments: the last preset first, since the others adapt a preset's
// values, then the rest in order, and networks last, since setting a model replaces
// the network. The error ([trainer.ErrUsage]) names the first wrong assignment, where
// it was given and what would be right.
func (c *Config) Apply(assignments ...setting.Assignment) error {
	var preset string
	for _, a := range assignments {
		if a.Name != "preset" {
			continue
		}
		if err := settings.Assign(c, a); err != nil {
			return err
		}
		preset = a.Value
	}
	if preset != "" {
		if err := c.ApplyPreset(preset); err != nil {
			return err
		}
	}
	if err := c.applyRecorded(assignments); err != nil {
		return err
	}
	return c.nameNetwork(assignments)
}

// unnamedNetwork is the model of a training whose settings give the layers alone.
const unnamedNetwork = "network"

// nameNetwork names a network that is given without a model, and refuses one that is
// given beside a file with another.
func (c *Config) nameNetwork(assignments []setting.Assignment) error {
	given := func(name string) bool {
		return slices.ContainsFunc(assignments, func(a setting.Assignment) bool { return a.Name == name && a.Value != "" })
	}
	switch {
	case !given("network"):
	case !given("model"):
		c.Model = unnamedNetwork
	case IsYAML(c.Model):
		return usage("model is the file %s, but network describes one too: leave one out", c.Model)
	}
	return nil
}

// applyRecorded makes the assignments of a run's args.yaml. It does not apply the run's
// preset, which may have changed since: the file holds all settings.
func (c *Config) applyRecorded(assignments []setting.Assignment) error {
	turns := map[string]int{"network": 1}
	ordered := slices.Clone(assignments)
	slices.SortStableFunc(ordered, func(a, b setting.Assignment) int { return turns[a.Name] - turns[b.Name] })
	for _, a := range ordered {
		if err := argsSettings.Assign(c, a); err != nil {
			return err
		}
		if a.Name == "model" {
			c.Network = ""
		}
	}
	return nil
}

// Value returns the value of the named setting as text, "" if it is not set. It
// panics if there is no such setting.
func (c Config) Value(name string) string { return setting.Value(&c, name) }

// LoadYAML reads a settings file; see [Config.ParseYAML]. A file that cannot be
// read is [trainer.ErrUsage].
func (c *Config) LoadYAML(path string) error {
	text, err := limitedfile.Read(path, limitedfile.Settings)
	if err != nil {
		return usage("cannot read the settings in %s: %v", path, cause(err))
	}
	return c.ParseYAML(path, text)
}

// environmentKey is the section of args.yaml that records where a run ran.
const environmentKey = "environment"

// ParseYAML sets the settings given in the text of a YAML file, those of its preset
// first. Keys are the names in [Settings]. A run's args.yaml, which has the section
// "environment", repeats the run: ParseYAML skips that section and takes of a preset only
// its name, since the preset may have changed. An error ([trainer.ErrUsage]) names the
// file, as given, and the line.
func (c *Config) ParseYAML(file string, text []byte) error { return c.parseYAML(file, text, true) }

// ParseYAMLWithoutPreset sets the settings that [Config.ParseYAML] sets, except the file's
// preset and its settings: another preset replaces it.
func (c *Config) ParseYAMLWithoutPreset(file string, text []byte) error {
	return c.parseYAML(file, text, false)
}

func (c *Config) parseYAML(file string, text []byte, withPreset bool) error {
	entries, err := setting.ParseEntries(file, text)
	if err != nil {
		return err
	}
	all := len(entries)
	entries = slices.DeleteFunc(entries, func(e setting.Entry) bool { return e.Key == environmentKey })
	recorded := len(entries) < all
	for _, e := range entries {
		switch e.Key {
		case "ranges":
			return usage("%s describes a search, not one training: run it with the search command", file)
		case "grid", "variants":
			return usage("%s describes an experiment, not one training: run it with the experiment command", file)
		}
	}
	if slices.ContainsFunc(entries, func(e setting.Entry) bool { return e.Key == "base" }) {
		return usage("%s describes an experiment, not one training: run it with the experiment command", file)
	}
	assignments, err := settings.Assignments(entries)
	if err != nil {
		return err
	}
	if !withPreset {
		assignments = slices.DeleteFunc(assignments, func(a setting.Assignment) bool { return a.Name == "preset" })
	}
	if recorded {
		return c.applyRecorded(assignments)
	}
	return c.Apply(assignments...)
}

// ReadArgs returns the settings of the run in a folder. The error, which is
// [checkpoint.ErrBadCheckpoint], says what is wrong with the folder or with its
// args.yaml.
func ReadArgs(dir string) (Config, error) {
	c := DefaultConfig()
	return c, trainer.ReadArgs(dir, c.ParseYAML)
}
