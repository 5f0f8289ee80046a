package trainer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"golang.org/x/sync/errgroup"
)

// Experiment is a named list of trainings, each in a folder of its own name.
type Experiment struct {
	Name   string
	Groups []Group
}

// Group is the runs of an experiment that are compared with each other. All
// are checked, and all names of an experiment differ.
type Group struct {
	Name string
	Runs []Config
}

// Each calls train for every run in order, as many at a time as there are
// workers, each call with a worker of its own. A training that diverges leaves
// the others alone; any other error ends them, after they have saved.
func (e Experiment) Each(ctx context.Context, workers int, train func(ctx context.Context, worker int, c Config) error) error {
	runs := make(chan Config)
	diverged := make([]error, workers)
	group, inner := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(runs)
		for _, g := range e.Groups {
			for _, c := range g.Runs {
				select {
				case runs <- c:
				case <-inner.Done():
					return ErrInterrupted // or the error of a worker came first
				}
			}
		}
		return nil
	})
	for worker := range workers {
		group.Go(func() error {
			for c := range runs {
				err := train(inner, worker, c)
				if errors.Is(err, ErrDiverged) {
					diverged[worker] = errors.Join(diverged[worker], fmt.Errorf("%s: %w", c.Name, err))
				} else if err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return errors.Join(diverged...)
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
	e := Experiment{Name: file.Name, Groups: []Group{{Name: file.Name}}}
	combinations, err := combine(path, file.Grid)
	if err != nil {
		return e, err
	}
	if file.Base.Kind == yaml.AliasNode {
		file.Base = *file.Base.Alias
	}
	if file.Base.Kind != 0 && file.Base.Kind != yaml.MappingNode {
		return e, usage("%s: line %d: base: want lines of the form \"key: value\"", path, file.Base.Line)
	}
	for _, values := range combinations {
		c, err := gridConfig(path, file.Base, values)
		if err != nil {
			return e, err
		}
		e.Groups[0].Runs = append(e.Groups[0].Runs, c)
	}
	return e, e.check(path)
}

// check refuses what could not be compared in the end. The source is where the
// experiment was written down.
func (e Experiment) check(source string) error {
	named, trained := map[string]bool{}, map[string]string{}
	for _, g := range e.Groups {
		for _, c := range g.Runs {
			training := fmt.Sprint(g.Name, c.Seed, c.recipe())
			switch {
			case named[c.Name]:
				return usage("%s: two runs are %s: a value stands twice", source, c.Name)
			case trained[training] != "":
				return usage("%s: %s and %s are the same training: leave one out", source, trained[training], c.Name)
			case c.SelectOn != g.Runs[0].SelectOn:
				return usage("%s: runs that select on %s and on %s cannot be compared: make two experiments of them", source, g.Runs[0].SelectOn, c.SelectOn)
			}
			named[c.Name], trained[training] = true, c.Name
		}
	}
	return nil
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

// commandKeys are the settings that an experiment has from the command line.
var commandKeys = []string{"device", "cpu", "threads", "validate", "data-dir", "out", "no-progress", "quiet"}

// gridConfig returns the configuration of one combination, named after it.
func gridConfig(path string, base yaml.Node, values []setting) (Config, error) {
	node := yaml.Node{Kind: yaml.MappingNode, Content: append([]*yaml.Node{}, base.Content...)}
	var name []string
	for _, s := range values {
		node.Content = append(node.Content, s.key, s.value)
		name = append(name, s.key.Value+s.value.Value)
	}
	for i := 0; i < len(node.Content); i += 2 {
		if key := node.Content[i]; slices.Contains(commandKeys, key.Value) {
			return Config{}, usage("%s: line %d: %s is for the command line: give --%s there", path, key.Line, key.Value, key.Value)
		}
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
