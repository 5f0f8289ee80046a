package trainer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/internal/limitedfile"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/model"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/setting"
)

// args is what args.yaml says about a run's weights. A file may have more keys, which
// belong to the program that trained the run.
type args struct {
	Model   string   `yaml:"model"`
	Network string   `yaml:"network,omitempty"` // the layers, unless Model is built in
	Dropout *float64 `yaml:"dropout,omitempty"` // replaces the probability of every dropout
	Recipe  `yaml:",inline"`
}

// NetworkSettings are the settings that describe a network in args.yaml: its name,
// its layers as YAML, and the probability of its dropouts.
func NetworkSettings() setting.Table { return networkSettings }

var networkSettings = setting.Table{
	{Name: "model", Kind: setting.Name(model.Names(), "the YAML file of a network's layers")},
	{Name: "network", Kind: setting.Document("YAML", "the layers of a network, as in a file for model")},
	{Name: "dropout", Kind: setting.Fraction()},
}

var argsSettings = slices.Concat(networkSettings, recipeSettings)

// environmentKey is the section of args.yaml that records where a run ran.
const environmentKey = "environment"

// writeArgs writes args.yaml: the settings, and the environment as the last key.
func (t *training) writeArgs() error {
	settings := t.options.Settings
	if settings == nil {
		a := args{Model: t.net.Config.Network.Name, Recipe: t.recipe}
		if !isBuiltIn(t.net.Config.Network) {
			var err error
			if a.Network, err = t.net.Config.Network.YAML(); err != nil {
				return err
			}
		}
		settings = a
	}
	e := t.found.environment
	if e.Data != "" {
		var err error
		if e.Data, err = filepath.Abs(e.Data); err != nil {
			return err
		}
	}
	text, err := yaml.Marshal(settings)
	if err != nil {
		return err
	}
	environment, err := yaml.Marshal(map[string]Environment{environmentKey: e})
	if err != nil {
		return err
	}
	return t.folder.write(ArgsFile, append(text, environment...))
}

// checkSettings refuses settings from which a run could not be resumed.
func (o Options) checkSettings(r Recipe, n model.Network) error {
	if o.Dir == "" || o.Settings == nil {
		return nil
	}
	text, err := yaml.Marshal(o.Settings)
	a := args{Recipe: DefaultRecipe()}
	if err == nil {
		err = a.parse("Options.Settings", text)
	}
	var different []string
	if err == nil {
		different, err = a.differences(r.Resolved(), n)
	}
	if err != nil {
		return usage("Options.Settings does not say the recipe and the network: %v", err)
	}
	if len(different) > 0 {
		return usage("Options.Settings says another recipe or network than the training's (%s)", strings.Join(different, ", "))
	}
	return nil
}

// lastKey matches the section that writeArgs writes last.
var lastKey = regexp.MustCompile("(?m)^" + environmentKey + ":")

// ReadArgs reads the args.yaml of a run with the function parse, which gets the
// file's name and text. The error, which is [checkpoint.ErrBadCheckpoint], says what
// is wrong with the folder or with the file. ReadArgs refuses a truncated file: the
// lost settings would silently become the defaults.
func ReadArgs(dir string, parse func(file string, text []byte) error) error {
	path := folder{dir}.path(ArgsFile)
	if info, err := os.Stat(dir); err == nil && !info.IsDir() {
		return badCheckpoint("%s is a file; name the folder of a run", dir)
	}
	text, err := limitedfile.Read(path, limitedfile.Settings)
	if errors.Is(err, fs.ErrNotExist) {
		return badCheckpoint("%s is not a run's folder, or its training ended before it wrote anything: it has no %s; name the folder of a run, or start a new run", dir, ArgsFile)
	}
	if err == nil {
		err = parse(ArgsFile, text)
	}
	if err == nil && !lastKey.Match(text) {
		err = fmt.Errorf("the end of %s is missing", ArgsFile)
	}
	if err != nil {
		return badCheckpoint("cannot read the settings of the run %s: %v; restore %s from a copy, or start a new run", dir, cause(err), path)
	}
	return nil
}

// CheckDataset returns an error ([dataset.ErrBadData]) if a dataset is not the one that
// the run in a folder was trained on, by the hashes of both. Without hashes, it cannot
// tell. That error ends with one remedy, to restore the dataset; the caller may add another.
func CheckDataset(dir string, data *dataset.Dataset) error {
	had, err := ReadEnvironment(dir)
	if err != nil {
		return err
	}
	was := had.SHA256
	if len(was) == 0 || len(data.SHA256) == 0 {
		return nil
	}
	var changed []string
	for name := range was {
		if data.SHA256[name] != was[name] {
			changed = append(changed, name)
		}
	}
	for name := range data.SHA256 {
		if _, known := was[name]; !known {
			changed = append(changed, name)
		}
	}
	if len(changed) == 0 {
		return nil
	}
	slices.Sort(changed)
	return fmt.Errorf("%w: %s differs from the dataset of %s (changed: %s): restore the original",
		dataset.ErrBadData, data.Dir, dir, strings.Join(changed, ", "))
}

// ReadEnvironment returns where the run in a folder was trained last. The error is that of
// [ReadArgs].
func ReadEnvironment(dir string) (Environment, error) {
	var had struct{ Environment Environment }
	err := ReadArgs(dir, func(file string, text []byte) error { return setting.Decode(file, text, &had) })
	return had.Environment, err
}

// readArgs reads what args.yaml says about the run's weights.
func (f folder) readArgs() (args, error) {
	a := args{Recipe: DefaultRecipe()}
	err := ReadArgs(f.dir, a.parse)
	return a, err
}

// parse sets what the text of an args.yaml says.
func (a *args) parse(file string, text []byte) error {
	entries, err := setting.ParseEntries(file, text)
	if err != nil {
		return err
	}
	entries = slices.DeleteFunc(entries, func(e setting.Entry) bool { _, known := argsSettings.Find(e.Key); return !known })
	assignments, err := argsSettings.Assignments(entries)
	for _, one := range assignments {
		if err == nil {
			err = argsSettings.Assign(a, one)
		}
	}
	return err
}

// differences lists the settings of a recorded run that decide its weights and differ
// from the given ones. It ignores those that a resume may change.
func (a args) differences(r Recipe, n model.Network) ([]string, error) {
	was, now := args{Recipe: a.Recipe.Resolved()}, args{Recipe: r.Resolved()}
	for _, limits := range []*Recipe{&was.Recipe, &now.Recipe} {
		limits.Epochs, limits.Patience, limits.MaxSteps = 0, 0, 0
	}
	var different []string
	for _, s := range recipeSettings {
		if had := setting.Value(&was, s.Name); had != setting.Value(&now, s.Name) {
			different = append(different, s.Name+": "+had)
		}
	}
	had, err := a.network(n)
	if err != nil {
		return nil, err
	}
	before, err1 := had.YAML()
	after, err2 := n.YAML()
	if before != after {
		different = append(different, "model: "+had.Name)
	}
	return different, errors.Join(err1, err2)
}

// network builds the recorded network for the images and classes of another.
func (a args) network(like model.Network) (n model.Network, err error) {
	d := dataset.Info{Classes: like.Classes, Shape: imageShape(like)}
	if a.Network == "" {
		n, err = BuiltIn(a.Model, d)
	} else {
		n, err = ParseNetwork("the network "+a.Model, []byte(a.Network), d)
		n.Name = strings.TrimSpace(a.Model)
	}
	if err == nil && a.Dropout != nil {
		n = n.WithDropout(*a.Dropout)
	}
	return n, err
}
