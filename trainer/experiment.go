package trainer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Experiment is a named list of trainings, each in a folder of its own name.
type Experiment struct {
	Name   string
	Groups [][]Config // checked; all names differ. Runs of one group are compared with each other
}

// The original's learning-rate study: these rates, for so many epochs.
var originalRates = []float64{.01, .001, .0001}

const originalRateEpochs = 5

// OriginalExperiment is the original's study: its five trainings with every
// seed, then its learning-rate study (of its best training) with the first
// seed, all selecting on the test images as the original does.
func OriginalExperiment(seeds []uint64) (Experiment, error) {
	e := Experiment{Name: "original", Groups: make([][]Config, 2)}
	add := func(group int, preset, name string, seed uint64, change func(c *Config)) error {
		c := DefaultConfig()
		if err := c.ApplyPreset(preset); err != nil {
			return err
		}
		c.Seed, c.SelectOn, c.Name = seed, "test", fmt.Sprintf("%s-seed%d", name, seed)
		change(&c)
		e.Groups[group] = append(e.Groups[group], c)
		return c.Check()
	}
	for _, seed := range seeds {
		for _, p := range Presets() {
			if err := add(0, p.Name, p.Name, seed, func(*Config) {}); err != nil {
				return e, err
			}
		}
	}
	for _, rate := range originalRates {
		err := add(1, "main_no_aug", fmt.Sprintf("lr%v", rate), seeds[0], func(c *Config) { c.LR, c.Epochs = rate, originalRateEpochs })
		if err != nil {
			return e, err
		}
	}
	return e, nil
}

// LoadExperiment reads an experiment from a YAML file: settings that all runs
// share under "base", and under "grid" lists of values, whose combinations are
// the runs:
//
//	name: rates
//	base: {preset: main_no_aug, epochs: 5}
//	grid:
//	  lr: [0.01, 0.001]
//	  seed: [42, 43, 44]
//
// The name defaults to the file's.
func LoadExperiment(path string) (Experiment, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Experiment{}, usage("cannot read the experiment: %v", err)
	}
	var file struct {
		Name string    `yaml:"name"`
		Base yaml.Node `yaml:"base"`
		Grid yaml.Node `yaml:"grid"`
	}
	decoder := yaml.NewDecoder(strings.NewReader(string(text)))
	decoder.KnownFields(true)
	if err := decoder.Decode(&file); err != nil {
		return Experiment{}, usage("%s: %s", path, yamlMessage(err))
	}
	if file.Name == "" {
		file.Name = strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
	}
	e := Experiment{Name: file.Name, Groups: make([][]Config, 1)}
	combinations, err := combine(path, file.Grid)
	if err != nil {
		return e, err
	}
	seen := map[string]bool{}
	for _, values := range combinations {
		c, err := gridConfig(path, file.Base, values)
		if err != nil {
			return e, err
		}
		if seen[c.Name] {
			return e, usage("%s: two runs are %s: a value stands twice in the grid", path, c.Name)
		}
		seen[c.Name] = true
		e.Groups[0] = append(e.Groups[0], c)
	}
	return e, nil
}

// setting is a key of [Config] and its value in a run.
type setting struct{ key, value *yaml.Node }

// combine returns every combination of the grid's values, the last key's
// running fastest; one empty combination where there is no grid.
func combine(path string, grid yaml.Node) ([][]setting, error) {
	all := [][]setting{{}}
	if grid.Kind == 0 {
		return all, nil
	}
	if grid.Kind != yaml.MappingNode {
		return nil, usage("%s: line %d: grid: want lines of the form \"key: [value, value]\"", path, grid.Line)
	}
	for i := 0; i < len(grid.Content); i += 2 {
		key, values := grid.Content[i], grid.Content[i+1]
		if values.Kind != yaml.SequenceNode || len(values.Content) == 0 {
			return nil, usage("%s: line %d: %s: want a list of values", path, values.Line, key.Value)
		}
		var more [][]setting
		for _, before := range all {
			for _, v := range values.Content {
				more = append(more, append(append([]setting{}, before...), setting{key, v}))
			}
		}
		all = more
	}
	return all, nil
}

// gridConfig returns the configuration of one combination, named after it.
func gridConfig(path string, base yaml.Node, values []setting) (Config, error) {
	node := yaml.Node{Kind: yaml.MappingNode, Content: append([]*yaml.Node{}, base.Content...)}
	var name []string
	for _, s := range values {
		node.Content = append(node.Content, s.key, s.value)
		name = append(name, s.key.Value+s.value.Value)
	}
	c := DefaultConfig()
	var preset struct {
		Preset string `yaml:"preset"`
	}
	if err := node.Decode(&preset); err != nil {
		return c, usage("%s: %s", path, yamlMessage(err))
	}
	if preset.Preset != "" {
		if err := c.ApplyPreset(preset.Preset); err != nil {
			return c, err
		}
	}
	if err := c.decode(path, &node); err != nil {
		return c, err
	}
	if c.Name != "" {
		name = append([]string{c.Name}, name...)
	}
	if len(name) == 0 {
		name = []string{c.RunName()}
	}
	c.Name = strings.ReplaceAll(strings.Join(name, "-"), string(filepath.Separator), "_")
	return c, c.Check()
}

// RunState says how far a run of an experiment is.
type RunState int

// A run in progress has a checkpoint to go on from; a broken one has none and
// begins anew.
const (
	RunNew RunState = iota
	RunBroken
	RunInProgress
	RunFinished
)

// StateOfRun looks at a run's folder.
func StateOfRun(dir string) (RunState, error) {
	has := func(name string) bool {
		_, err := os.Stat(filepath.Join(dir, name))
		return err == nil
	}
	entries, err := os.ReadDir(dir)
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return RunNew, err
	case err != nil || len(entries) == 0:
		return RunNew, nil
	case !has(ArgsFile):
		return RunNew, usage("%s is in the way: it is no run's folder; choose another --out", dir)
	case has(metricsFile):
		return RunFinished, nil
	case has(stateFile):
		return RunInProgress, nil
	}
	return RunBroken, nil
}
