package study

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/internal/limitedfile"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/setting"
)

// LoadExperiment reads a file that describes an experiment; see [ParseExperiment].
// A file that cannot be read is [trainer.ErrUsage].
func LoadExperiment(path string, overrides ...setting.Assignment) (Experiment, error) {
	text, err := limitedfile.Read(path, limitedfile.Settings)
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
// Under "variants" is a list of changes to base, each of which may change several settings
// or, as {}, none. Each is combined with the grid:
//
//	base: {preset: fast, seed: 0-2}
//	variants:
//	  - {}
//	  - {label-smoothing: 0}
//	  - {name: sgd, optimizer: sgd, lr: 0.1, weight-decay: 0.0005}
//
// A variant's name begins the names of its runs, in place of the settings that it changes.
// Seeds may be ranges, also under base. A model may be the YAML file of a network, whose
// path is relative to the experiment's file. The name defaults to the file's. Overrides
// replace the values of their settings in all three; a seed may be a list such
// as "0-4,7". An error ([trainer.ErrUsage]) names the file and the line, or the override's
// source.
func ParseExperiment(file string, text []byte, overrides ...setting.Assignment) (Experiment, error) {
	f, err := readExperiment(file, text)
	if err != nil {
		return Experiment{}, err
	}
	if err := f.override(overrides); err != nil {
		return Experiment{}, err
	}
	if err := f.checkVariants(); err != nil {
		return Experiment{}, err
	}
	combinations, err := combine(file, len(f.variantsOrNone()), f.axes)
	if err != nil {
		return Experiment{}, err
	}
	group := Group{Name: f.name}
	networks := networkReader{}
	for _, v := range f.variantsOrNone() {
		for _, values := range combinations {
			c, err := runConfig(file, slices.Concat(f.base, v.named), slices.Concat(v.unnamed, values), networks.read)
			if err != nil {
				return Experiment{}, err
			}
			group.Runs = append(group.Runs, c)
		}
	}
	e := Experiment{Name: f.name, Groups: []Group{group}}
	return e, e.check(file)
}

// experimentText is the content of an experiment's file.
type experimentText struct {
	name string
	base []setting.Assignment // of every run
	axes []axis               // each combination of their values is a run
	// Each variant changes base. Without any, base is the only one.
	variants []variant
}

// variant holds the settings that a variant changes: if it has a name, that and the rest
// in named, else all in unnamed, by which its runs are then named.
type variant struct{ named, unnamed []setting.Assignment }

func (f *experimentText) variantsOrNone() []variant {
	if len(f.variants) == 0 {
		return []variant{{}}
	}
	return f.variants
}

// axis holds the values that one setting takes in the runs of an experiment.
type axis struct {
	name   string
	values []setting.Assignment
}

// readExperiment reads the file's sections.
func readExperiment(file string, text []byte) (*experimentText, error) {
	f := &experimentText{name: strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))}
	entries, err := setting.ParseEntries(file, text)
	if err != nil {
		return nil, err
	}
	if len(entries) == 0 {
		return nil, usage("%s: the file is empty: want base, the settings of all runs, grid, lists of values to combine, or variants, a list of changes", file)
	}
	var seeds *axis // under base: they vary fastest, like the last line of a grid
	for _, e := range entries {
		switch e.Key {
		case "name":
			f.name, err = readName(e)
		case "base":
			f.base, seeds, err = readBase(file, e)
			f.base = fromFolder(filepath.Dir(file), f.base)
		case "grid":
			f.axes, err = readGrid(file, e)
		case "variants":
			f.variants, err = readVariants(file, e)
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
	return f, setting.Assignment{Source: file}.Wrong(err)
}

// experimentName says what names an experiment can have.
const experimentName = "a name for the folder of its runs, such as rates"

// readName reads the name of an experiment.
func readName(e setting.Entry) (string, error) {
	name, err := e.Assignment(setting.Setting{Name: "name", Kind: setting.Text("NAME", experimentName)})
	return name.Value, err
}

// unknownSection returns an error about a key outside the sections.
func unknownSection(e setting.Entry) error {
	if e.Key == "ranges" {
		return usage("%s: ranges are of a search: run it with the search command, or give a grid", e.Source())
	}
	if _, ok := settings.Find(e.Key); ok {
		return usage("%s: %s is outside base, grid and variants: indent it under one of them", e.Source(), e.Key)
	}
	return setting.UnknownKey(e.Source(), e.Key, []string{"name", "base", "grid", "variants"})
}

// readBase reads the settings that all runs share. Several seeds become an axis.
func readBase(file string, section setting.Entry) ([]setting.Assignment, *axis, error) {
	entries, err := sectionEntries(file, section, setting.WantLines)
	if err != nil {
		return nil, nil, err
	}
	var seeds *axis
	for i, e := range entries {
		if e.Key == "seed" {
			a, err := axisOf(e)
			if err != nil {
				return nil, nil, err
			}
			if len(a.values) > 1 {
				seeds, entries = &a, slices.Delete(slices.Clone(entries), i, i+1)
			}
			break
		}
	}
	assignments, err := singleValues(entries)
	return assignments, seeds, err
}

// singleValues reads settings that have one value each.
func singleValues(entries []setting.Entry) ([]setting.Assignment, error) {
	for _, e := range entries {
		if s, ok := settings.Find(e.Key); ok && e.Value.Kind == yaml.SequenceNode {
			return nil, &setting.Error{Source: e.Source(), Name: e.Key, Problem: "is a list", Want: s.Want + ", or move the list under grid"}
		}
	}
	return settings.Assignments(entries)
}

// readGrid reads the lists of values.
func readGrid(file string, section setting.Entry) ([]axis, error) {
	entries, err := sectionEntries(file, section, `lines of the form "key: [value, value]"`)
	if err != nil {
		return nil, err
	}
	var axes []axis
	for _, e := range entries {
		a, err := axisOf(e)
		if err != nil {
			return nil, err
		}
		a.values = fromFolder(filepath.Dir(file), a.values)
		axes = append(axes, a)
	}
	return axes, nil
}

// readVariants reads the list of changes to base.
func readVariants(file string, section setting.Entry) ([]variant, error) {
	const want = `a list of settings, such as "- {optimizer: sgd, lr: 0.1}"`
	if section.Value.Kind != yaml.SequenceNode || len(section.Value.Content) == 0 {
		return nil, usage("%s: %s: want %s", section.Source(), section.Key, want)
	}
	var variants []variant
	for _, node := range section.Value.Content {
		e := setting.Entry{File: section.File, Line: node.Line, Key: section.Key, Value: node}
		if node.Kind == yaml.AliasNode {
			e.Value = node.Alias
		}
		entries, err := sectionEntries(file, e, want)
		if err != nil {
			return nil, err
		}
		list, err := singleValues(entries)
		if err != nil {
			return nil, err
		}
		list = fromFolder(filepath.Dir(file), list)
		if slices.ContainsFunc(list, func(a setting.Assignment) bool { return a.Name == "name" }) {
			variants = append(variants, variant{named: list})
		} else {
			variants = append(variants, variant{unnamed: list})
		}
	}
	return variants, nil
}

// without returns the assignments to other settings than the named one.
func without(list []setting.Assignment, name string) []setting.Assignment {
	return slices.DeleteFunc(slices.Clone(list), func(a setting.Assignment) bool { return a.Name == name })
}

// without returns the variant without its value of a setting, which may be its name.
func (v variant) without(name string) variant {
	v = variant{without(v.named, name), without(v.unnamed, name)}
	if name == "name" {
		return variant{unnamed: slices.Concat(v.named, v.unnamed)}
	}
	return v
}

// settings lists the variant's settings but its name, sorted.
func (v variant) settings() string {
	var list []string
	for _, a := range without(slices.Concat(v.named, v.unnamed), "name") {
		list = append(list, fmt.Sprintf("%s=%q", a.Name, a.Value))
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

// overrideVariants takes a setting out of all variants, and drops those that then equal
// an earlier one.
func (f *experimentText) overrideVariants(name string) {
	list, seen := slices.Clone(f.variants), map[string]bool{}
	f.variants = nil
	for _, v := range list {
		changed := v.without(name)
		if s := changed.settings(); !seen[s] || s == v.settings() {
			f.variants = append(f.variants, changed)
			seen[s] = true
		}
	}
}

// checkVariants refuses settings that a variant cannot change, and networks without a name.
func (f *experimentText) checkVariants() error {
	for _, a := range f.axes {
		if a.name == "network" {
			return usage("%s: network: networks need names to be told apart: put each into a file of its own, for model, or into a variant", a.values[0].Source)
		}
	}
	for _, v := range f.variants {
		for _, a := range slices.Concat(v.named, v.unnamed) {
			switch {
			case a.Name == "seed":
				return usage("%s: seed: all variants have the same seeds: set them under base or grid", a.Source)
			case slices.ContainsFunc(f.axes, func(x axis) bool { return x.name == a.Name }):
				return usage("%s: %s has values under grid too: leave one out", a.Source, a.Name)
			case a.Name == "network" && len(v.named) == 0:
				return usage("%s: a variant with a network of its own needs a name: add name: NAME", a.Source)
			}
		}
	}
	return nil
}

// sectionEntries lists the settings of a section. An empty one has none.
func sectionEntries(file string, section setting.Entry, want string) ([]setting.Entry, error) {
	if section.Value.Tag == "!!null" {
		return nil, nil
	}
	if section.Value.Kind != yaml.MappingNode {
		return nil, usage("%s: %s: want %s", section.Source(), section.Key, want)
	}
	entries, err := setting.Entries(file, section.Value)
	for _, e := range entries {
		if err == nil {
			err = refuseCommandKey(e.Source(), e.Key)
		}
	}
	return entries, err
}

// commandKeys are the settings that an experiment takes only from the command line.
var commandKeys = []string{"device", "cpu", "threads", "validate", "data-dir", "out", "no-progress"}

// Overridable reports whether there is a setting of that name that overrides of an
// experiment may replace; see [ParseExperiment].
func Overridable(name string) bool {
	_, ok := settings.Find(name)
	return ok && refuseCommandKey("", name) == nil
}

func refuseCommandKey(source, key string) error {
	if slices.Contains(commandKeys, key) {
		return usage("%s: %s cannot be set here, since it does not belong to the trainings: set it where they are started", source, key)
	}
	if key == "quiet" {
		return usage("%s: experiments have no %s: leave it out", source, key)
	}
	return nil
}

// axisOf reads the values of a setting: a list or, for seeds, also a range.
func axisOf(e setting.Entry) (axis, error) {
	s, ok := settings.Find(e.Key)
	if !ok {
		return axis{}, setting.UnknownKey(e.Source(), e.Key, settings.Names())
	}
	values := []*yaml.Node{e.Value}
	if e.Value.Kind == yaml.SequenceNode {
		values = e.Value.Content
	}
	if len(values) == 0 || e.Key != "seed" && e.Value.Kind != yaml.SequenceNode {
		return axis{}, usage("%s: %s: want a list of values, [value, value]", e.Source(), e.Key)
	}
	if e.Key == "seed" {
		s.Kind = setting.Seeds()
	}
	a := axis{name: e.Key}
	for _, v := range values {
		if v.Kind == yaml.AliasNode {
			v = v.Alias
		}
		one, err := setting.Entry{File: e.File, Line: v.Line, Key: e.Key, Value: v}.Assignment(s)
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
func (a *axis) add(one setting.Assignment) error {
	if a.name != "seed" {
		a.values = append(a.values, one)
		return nil
	}
	seeds, err := setting.Seeds().Parse("seed", one.Value)
	if err != nil {
		return one.Wrong(err)
	}
	for _, seed := range seeds.([]uint64) {
		a.values = append(a.values, setting.Assignment{Name: "seed", Value: fmt.Sprint(seed), Source: one.Source})
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
func (f *experimentText) override(overrides []setting.Assignment) error {
	for _, o := range overrides {
		if _, ok := settings.Find(o.Name); !ok {
			return setting.UnknownKey(o.Source, o.Name, settings.Names())
		}
		if err := refuseCommandKey(o.Source, o.Name); err != nil {
			return err
		}
		f.base = without(f.base, o.Name)
		if o.Name == "seed" {
			a := axis{name: o.Name}
			if err := a.add(o); err != nil {
				return err
			}
			f.setAxis(a)
			continue
		}
		f.axes = slices.DeleteFunc(f.axes, func(a axis) bool { return a.name == o.Name })
		f.overrideVariants(o.Name)
		if o.Name == "model" { // replaces the network too
			f.base = without(f.base, "network")
			f.overrideVariants("network")
		}
		f.base = append(f.base, o)
	}
	return nil
}

// maxRuns limits an experiment: more runs are probably a mistake in a list.
const maxRuns = 10_000

// combine returns every combination of the axes' values, with the last axis varying
// fastest. Without axes it returns one empty combination. Each will be combined with that
// number of variants.
func combine(file string, variants int, axes []axis) ([][]setting.Assignment, error) {
	all := [][]setting.Assignment{{}}
	tooMany := usage("%s: the lists combine to more than %d runs: shorten them", file, maxRuns)
	if variants > maxRuns {
		return nil, tooMany
	}
	for _, a := range axes {
		if len(all)*len(a.values) > maxRuns/variants {
			return nil, tooMany
		}
		var more [][]setting.Assignment
		for _, before := range all {
			for _, v := range a.values {
				more = append(more, append(slices.Clone(before), v))
			}
		}
		all = more
	}
	return all, nil
}

// networkReader holds the files of networks that it has read.
type networkReader map[string][]byte

func (r networkReader) read(path string) ([]byte, error) {
	if text, ok := r[path]; ok {
		return text, nil
	}
	text, err := limitedfile.Read(path, limitedfile.Settings)
	if err != nil {
		return nil, usage("cannot read the network %s: %v", path, cause(err))
	}
	r[path] = text
	return text, nil
}

// runConfig returns the configuration of one combination of a file's values, named
// after it. It reads the file of a network with the function read.
func runConfig(file string, base, values []setting.Assignment, read func(path string) ([]byte, error)) (Config, error) {
	c := DefaultConfig()
	gives := func(name string) bool {
		return slices.ContainsFunc(values, func(a setting.Assignment) bool { return a.Name == name })
	}
	if gives("model") && !gives("network") { // a model replaces base's network
		base = without(base, "network")
	}
	all := slices.Concat(base, values)
	if err := c.Apply(all...); err != nil {
		return c, err
	}
	if err := c.ReadNetwork(read); err != nil {
		for _, a := range slices.Backward(all) { // the last one holds
			if a.Name == "model" {
				return c, usage("%s: %v", a.Source, err)
			}
		}
		return c, err
	}
	var name []string
	if c.Name != "" {
		name = append(name, c.Name)
	}
	for _, v := range values {
		if v.Name == "model" {
			v.Value = c.Model // for a file, the network's name
		}
		name = append(name, v.Name+v.Value)
	}
	if len(name) == 0 {
		name = append(name, c.RunName())
	}
	c.Name = strings.NewReplacer("/", "_", `\`, "_").Replace(strings.Join(name, "-"))
	if err := c.Check(); err != nil { // settings that do not go together: each was right by itself
		return c, usage("%s: %s: %v", file, c.Name, err)
	}
	return c, nil
}
