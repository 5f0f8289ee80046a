package study

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/model"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/setting"
)

// usage returns an error that is [trainer.ErrUsage] but whose text is only the
// message.
var usage = setting.Errorf

// Config holds every setting of a run: its recipe, and also which network, on which
// dataset and device, and where its files go. Its YAML keys are the names in
// [Settings]; a run's args.yaml has this form.
type Config struct {
	Preset  string   `yaml:"preset,omitempty"`
	Model   string   `yaml:"model"`
	Network string   `yaml:"network,omitempty"` // the layers of a network of one's own, as YAML; Model is then just its name
	Dropout *float64 `yaml:"dropout,omitempty"` // replaces the probability of every dropout; nil for the network's own
	Dataset string   `yaml:"dataset"`           // a name, or a folder
	// ImageSize is the height and width to which pictures are scaled; 0 for the
	// dataset's own.
	ImageSize int  `yaml:"image-size"`
	SkipBad   bool `yaml:"skip-bad"` // leave out pictures that cannot be read

	trainer.Recipe `yaml:",inline"`

	InitFrom string `yaml:"init,omitempty"`
	Device   string `yaml:"device,omitempty"`
	CPU      bool   `yaml:"cpu"`
	Threads  int    `yaml:"threads"`
	Validate bool   `yaml:"validate"`
	DataDir  string `yaml:"data-dir,omitempty"`
	Out      string `yaml:"out,omitempty"`
	Name     string `yaml:"name,omitempty"`
	LogEvery int    `yaml:"log-every"`
	// CheckpointEvery is how many seconds old a checkpoint may become within an epoch;
	// 0 saves only after epochs.
	CheckpointEvery float64 `yaml:"checkpoint-every"`

	NoProgress bool `yaml:"no-progress"`
	Quiet      bool `yaml:"quiet"`

	networkFile string // from which Network was read, for errors; "" if from nowhere
}

// DefaultConfig returns the default settings: fashioncnn on Fashion-MNIST with
// [trainer.DefaultRecipe].
func DefaultConfig() Config {
	return Config{Model: "fashioncnn", Dataset: dataset.FashionMNIST.Name, Recipe: trainer.DefaultRecipe(), Out: "runs", CheckpointEvery: 60}
}

// Check returns an error ([trainer.ErrUsage]) that names the first wrong setting
// and says what would be right.
func (c *Config) Check() error {
	if c.Device != "" && c.CPU {
		return usage("device and cpu exclude each other: leave one out")
	}
	if err := argsSettings.Check(c); err != nil {
		return err
	}
	if c.Dataset != dataset.FashionMNIST.Name { // whose shape is not known yet
		return nil
	}
	return c.CheckFor(dataset.FashionMNIST)
}

// CheckFor returns an error ([trainer.ErrUsage]) if the settings do not fit the images
// and classes of a dataset.
func (c Config) CheckFor(d dataset.Info) error {
	if _, err := c.BuildNetwork(d); err != nil {
		return err
	}
	return c.Recipe.CheckFor(d.Shape)
}

// BuildNetwork returns the network that the settings describe, for the images and
// classes of a dataset. The error is [trainer.ErrUsage].
func (c Config) BuildNetwork(d dataset.Info) (n model.Network, err error) {
	if c.Network == "" {
		n, err = trainer.BuiltIn(c.Model, d)
	} else {
		n, err = trainer.ParseNetwork(cmp.Or(c.networkFile, "the network "+c.Model), []byte(c.Network), d)
		n.Name = c.Model
	}
	if err == nil && c.Dropout != nil {
		n = n.WithDropout(*c.Dropout)
	}
	return n, err
}

// RunName returns the name of the run's folder: Name, else Preset, else Model.
func (c *Config) RunName() string {
	for _, name := range []string{c.Name, c.Preset} {
		if name != "" {
			return name
		}
	}
	return c.Model
}

// YAML returns the settings as YAML that [Config.ParseYAML] reads. It includes the
// dropout of a built-in network and the weight decay even if they were not set. It leaves
// out the dropout of a network that has none, since it changes nothing.
func (c Config) YAML() (string, error) {
	c.Dropout = c.recordedDropout()
	c.Recipe = c.Recipe.Resolved()
	text, err := yaml.Marshal(c)
	return string(text), err
}

// recordedDropout returns the dropout that [Config.YAML] writes; nil for none.
func (c Config) recordedDropout() *float64 {
	if c.Network != "" {
		if n, err := model.ParseYAML(c.Model, []byte(c.Network)); err == nil && !n.HasDropout() {
			return nil
		}
		return c.Dropout
	}
	switch n, known := model.Zoo(c.Model, model.Shape{}, nil); {
	case known && !n.HasDropout():
		return nil
	case c.Dropout == nil:
		return new(model.DefaultDropout)
	}
	return c.Dropout
}

// recipe returns the settings that decide a run's weights, but the seed, as YAML with
// one line per setting: a digest stands for the layers of a network of one's own.
func (c Config) recipe() string {
	c.Seed, c.Dropout = 0, c.recordedDropout()
	if c.Network != "" {
		c.Network = digest(c.Network)
	}
	if absolute, err := c.Absolute(); err == nil {
		c = absolute // as in args.yaml
	}
	var lines []string
	for _, line := range strings.Split(c.mustYAML(), "\n") {
		if key, _, _ := strings.Cut(line, ":"); !slices.Contains(placeSettings, key) {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}

func (c Config) mustYAML() string {
	text, err := c.YAML()
	if err != nil {
		panic(err) // cannot happen: the fields are plain values
	}
	return text
}

// Absolute returns the settings for args.yaml: with absolute paths, so that the run
// can be resumed from any folder, and with the dropout and the weight decay that
// [Config.YAML] writes.
func (c Config) Absolute() (Config, error) {
	c.Recipe, c.Dropout = c.Recipe.Resolved(), c.recordedDropout()
	for _, path := range []*string{&c.DataDir, &c.InitFrom, &c.Dataset} {
		if *path == "" || *path == dataset.FashionMNIST.Name {
			continue
		}
		absolute, err := filepath.Abs(*path)
		if err != nil {
			return c, err
		}
		*path = absolute
	}
	return c, nil
}

// FolderError is the error of a folder that cannot be created, where another
// [Config.Out] is a remedy.
type FolderError struct {
	What string // the folder's purpose
	Dir  string
	Err  error
}

func (e *FolderError) Error() string {
	return fmt.Sprintf("cannot create %s %s: %v", e.What, e.Dir, e.Err)
}
func (e *FolderError) Unwrap() error { return e.Err }

// MakeOut creates the folder in which runs get their folders. The error is a
// [FolderError].
func MakeOut(dir string) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return &FolderError{"the output folder", dir, cause(err)}
	}
	return nil
}

// NewFolder creates the folder of a new run under c.Out and returns its path.
// If c has no Name, NewFolder appends a number where needed to find a free name.
// A Name that is taken is [trainer.ErrUsage], unless that folder is empty.
func NewFolder(c Config) (string, error) {
	if err := MakeOut(c.Out); err != nil {
		return "", err
	}
	for i := 1; ; i++ {
		dir := filepath.Join(c.Out, c.RunName())
		if i > 1 {
			dir += "-" + strconv.Itoa(i)
		}
		err := os.Mkdir(dir, 0o777)
		switch {
		case err == nil:
			return dir, nil
		case !errors.Is(err, fs.ErrExist):
			return "", &FolderError{"the run's folder", dir, cause(err)}
		case c.Name != "":
			if state, err := trainer.StateOfRun(dir); err == nil && state == trainer.RunNew {
				return dir, nil
			}
			return "", usage("the run %s already exists: choose another name, or resume it", dir)
		}
	}
}

// Replicas returns n runs with the seeds from c.Seed on, each named after its seed, for
// [TrainReplicas]. If c has no Name, Replicas appends a number where needed to find
// free names. A Name with which a run exists is [trainer.ErrUsage].
func (c Config) Replicas(n int) ([]Config, error) {
	for i := 1; ; i++ {
		name := c.RunName()
		if i > 1 {
			name += "-" + strconv.Itoa(i)
		}
		var runs []Config
		taken := ""
		for j := range n {
			run := c
			run.Seed += uint64(j)
			run.Name = fmt.Sprintf("%s-seed%d", name, run.Seed)
			dir := filepath.Join(c.Out, run.Name)
			if state, err := trainer.StateOfRun(dir); err != nil || state != trainer.RunNew {
				taken = dir
			}
			runs = append(runs, run)
		}
		switch {
		case taken == "":
			return runs, nil
		case c.Name != "":
			return nil, usage("the run %s already exists: choose another name, or resume it", taken)
		}
	}
}

// TryFolder does what [NewFolder] does, so that it fails where that would, but
// leaves no folder: it creates the run's folder and removes everything that it created.
func TryFolder(c Config) error {
	var made []string // innermost first
	for dir := filepath.Clean(c.Out); ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		made = append(made, dir)
	}
	unnumbered := filepath.Join(c.Out, c.RunName())
	_, missing := os.Stat(unnumbered)
	dir, err := NewFolder(c)
	if err == nil && (missing != nil || dir != unnumbered) { // not an empty folder that was already there
		err = os.Remove(dir)
	}
	for _, dir := range made {
		_ = os.Remove(dir) // NewFolder may have failed before it created it
	}
	return err
}

// cause strips the operation and path from an os error: the message names them
// already.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
