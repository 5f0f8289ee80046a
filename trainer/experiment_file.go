package trainer

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/setting"
)

// LoadExperiment reads a file that describes an experiment; see [ParseExperiment].
// A file that cannot be read is [ErrUsage].
func LoadExperiment(path string, overrides ...Assignment) (Experiment, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Experiment{}, usage("cannot read the experiment %s: %v", path, cause(err))
	}
	return ParseExperiment(path, text, overrides...)
}

// ParseExperiment reads an experiment from the text of a YAML file. The settings
// under "base" hold for all runs. Under "grid" are lists of values, and each
// combination of them is a run:
//
//	name: rates
//	base: {preset: main_no_aug, epochs: 5}
//	grid:
//	  lr: [0.01, 0.001]
//	  seed: 0-9
//
// Seeds may be ranges, also under base. The name defaults to the file's. Overrides
// replace the values of their settings in base and grid; a seed may be a list such
// as "0-4,7". An error ([ErrUsage]) names the file and the line, or the override's
// source.
func ParseExperiment(file string, text []byte, overrides ...Assignment) (Experiment, error) {
	f, err := readExperiment(file, text)
	if err != nil {
		return Experiment{}, err
	}
	if err := f.override(overrides); err != nil {
		return Experiment{}, err
	}
	combinations, err := combine(file, f.axes)
	if err != nil {
		return Experiment{}, err
	}
	group := Group{Name: f.name}
	for _, values := range combinations {
		c, err := runConfig(f.base, values)
		if err != nil {
			return Experiment{}, err
		}
		group.Runs = append(group.Runs, c)
	}
	e := Experiment{Name: f.name, Groups: []Group{group}}
	return e, e.check(file)
}

// experimentText is the content of an experiment's file.
type experimentText struct {
	name string
	base []Assignment // of every run
	axes []axis       // each combination of their values is a run
}

// axis holds the values that one setting takes in the runs of an experiment.
type axis struct {
	name   string
	values []Assignment
}

// readExperiment reads the file's sections.
func readExperiment(file string, text []byte) (*experimentText, error) {
	f := &experimentText{name: strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))}
	root, err := parseMapping(file, text)
	if err != nil || root == nil {
		return f, err
	}
	entries, err := mappingEntries(file, root)
	if err != nil {
		return nil, err
	}
	var seeds *axis // under base: they vary fastest, like the last line of a grid
	for _, e := range entries {
		switch e.key {
		case "name":
			name, err := e.assignment(Setting{"name", setting.Text("NAME", experimentName)})
			if err != nil {
				return nil, err
			}
			f.name = name.Value
		case "base":
			f.base, seeds, err = readBase(file, e)
		case "grid":
			f.axes, err = readGrid(file, e)
		default:
			err = unknownSection(e)
		}
		if err != nil {
			return nil, err
		}
	}
	if seeds != nil && !slices.ContainsFunc(f.axes, func(a axis) bool { return a.name == seeds.name }) {
		f.axes = append(f.axes, *seeds)
	}
	err = setting.FolderName(experimentName).Check("the experiment's name", f.name)
	return f, Assignment{Source: file}.wrong(err)
}

// experimentName says what names an experiment can have.
const experimentName = "a name for the folder of its runs, such as rates"

// unknownSection returns an error about a key outside the sections.
func unknownSection(e entry) error {
	if _, ok := FindSetting(e.key); ok {
		return usage("%s: %s is outside base and grid: indent it under one of them", e.source(), e.key)
	}
	return unknownKey(e.source(), e.key, []string{"name", "base", "grid"})
}

// readBase reads the settings that all runs share. Several seeds become an axis.
func readBase(file string, section entry) ([]Assignment, *axis, error) {
	entries, err := sectionEntries(file, section, wantLines)
	if err != nil {
		return nil, nil, err
	}
	var seeds *axis
	for i, e := range entries {
		if e.key == "seed" {
			a, err := e.axis()
			if err != nil {
				return nil, nil, err
			}
			if len(a.values) > 1 {
				seeds, entries = &a, slices.Delete(slices.Clone(entries), i, i+1)
			}
			break
		}
	}
	for _, e := range entries {
		if s, ok := FindSetting(e.key); ok && e.value.Kind == yaml.SequenceNode {
			return nil, nil, &setting.Error{Source: e.source(), Name: e.key, Problem: "is a list", Want: s.Want + ", or move the list under grid"}
		}
	}
	assignments, err := assignmentsOf(entries)
	return assignments, seeds, err
}

// readGrid reads the lists of values.
func readGrid(file string, section entry) ([]axis, error) {
	entries, err := sectionEntries(file, section, `lines of the form "key: [value, value]"`)
	if err != nil {
		return nil, err
	}
	var axes []axis
	for _, e := range entries {
		a, err := e.axis()
		if err != nil {
			return nil, err
		}
		axes = append(axes, a)
	}
	return axes, nil
}

// sectionEntries lists the settings of a section. An empty one has none.
func sectionEntries(file string, section entry, want string) ([]entry, error) {
	if section.value.Tag == "!!null" {
		return nil, nil
	}
	if section.value.Kind != yaml.MappingNode {
		return nil, usage("%s: %s: want %s", section.source(), section.key, want)
	}
	entries, err := mappingEntries(file, section.value)
	for _, e := range entries {
		if err == nil {
			err = refuseCommandKey(e.source(), e.key)
		}
	}
	return entries, err
}

// commandKeys are the settings that an experiment takes only from the command line.
var commandKeys = []string{"device", "cpu", "threads", "validate", "data-dir", "out", "no-progress"}

func refuseCommandKey(source, key string) error {
	if slices.Contains(commandKeys, key) {
		return usage("%s: %s cannot be set here: use --%s on the command line", source, key, key)
	}
	if key == "quiet" {
		return usage("%s: experiments have no %s: leave it out", source, key)
	}
	return nil
}

// axis reads the values of a setting: a list or, for seeds, also a range.
func (e entry) axis() (axis, error) {
	s, ok := FindSetting(e.key)
	if !ok {
		return axis{}, unknownKey(e.source(), e.key, settingNames())
	}
	values := []*yaml.Node{e.value}
	if e.value.Kind == yaml.SequenceNode {
		values = e.value.Content
	}
	if len(values) == 0 || e.key != "seed" && e.value.Kind != yaml.SequenceNode {
		return axis{}, usage("%s: %s: want a list of values, [value, value]", e.source(), e.key)
	}
	if e.key == "seed" {
		s.Kind = setting.Seeds()
	}
	a := axis{name: e.key}
	for _, v := range values {
		if v.Kind == yaml.AliasNode {
			v = v.Alias
		}
		one, err := entry{e.file, v.Line, e.key, v}.assignment(s)
		if err == nil {
			err = a.add(one)
		}
		if err != nil {
			return axis{}, err
		}
	}
	return a, nil
}

// add appends a value, or several if it is a range of seeds.
func (a *axis) add(one Assignment) error {
	if a.name != "seed" {
		a.values = append(a.values, one)
		return nil
	}
	seeds, err := setting.Seeds().Parse("seed", one.Value)
	if err != nil {
		return one.wrong(err)
	}
	for _, seed := range seeds.([]uint64) {
		a.values = append(a.values, Assignment{"seed", fmt.Sprint(seed), one.Source})
	}
	return nil
}

// setAxis replaces the axis of the same name, or appends one.
func (f *experimentText) setAxis(a axis) {
	if i := slices.IndexFunc(f.axes, func(b axis) bool { return b.name == a.name }); i >= 0 {
		f.axes[i] = a
		return
	}
	f.axes = append(f.axes, a)
}

// override replaces the file's values with those of the overrides.
func (f *experimentText) override(overrides []Assignment) error {
	for _, o := range overrides {
		if _, ok := FindSetting(o.Name); !ok {
			return unknownKey(o.Source, o.Name, settingNames())
		}
		if err := refuseCommandKey(o.Source, o.Name); err != nil {
			return err
		}
		f.base = slices.DeleteFunc(f.base, func(a Assignment) bool { return a.Name == o.Name })
		if o.Name == "seed" {
			a := axis{name: o.Name}
			if err := a.add(o); err != nil {
				return err
			}
			f.setAxis(a)
			continue
		}
		f.axes = slices.DeleteFunc(f.axes, func(a axis) bool { return a.name == o.Name })
		f.base = append(f.base, o)
	}
	return nil
}

// maxRuns limits an experiment: more runs are probably a mistake in a list.
const maxRuns = 10_000

// combine returns every combination of the axes' values, with the last axis varying
// fastest. Without axes it returns one empty combination.
func combine(file string, axes []axis) ([][]Assignment, error) {
	all := [][]Assignment{{}}
	for _, a := range axes {
		if len(all)*len(a.values) > maxRuns {
			return nil, usage("%s: the lists combine to more than %d runs: shorten them", file, maxRuns)
		}
		var more [][]Assignment
		for _, before := range all {
			for _, v := range a.values {
				more = append(more, append(slices.Clone(before), v))
			}
		}
		all = more
	}
	return all, nil
}

// runConfig returns the configuration of one combination, named after it.
func runConfig(base, values []Assignment) (Config, error) {
	c := DefaultConfig()
	if err := c.Apply(slices.Concat(base, values)...); err != nil {
		return c, err
	}
	var name []string
	if c.Name != "" {
		name = append(name, c.Name)
	}
	for _, v := range values {
		name = append(name, v.Name+v.Value)
	}
	if len(name) == 0 {
		name = append(name, c.RunName())
	}
	c.Name = strings.NewReplacer("/", "_", `\`, "_").Replace(strings.Join(name, "-"))
	return c, c.Check()
}
