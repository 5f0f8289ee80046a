package trainer

import (
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/model"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/setting"
)

// ErrUsage marks a wrong setting or argument; the message names it and says what
// is right.
var ErrUsage = setting.ErrWrong

// usage returns an error that is [ErrUsage] but whose text is only the message.
func usage(format string, args ...any) error {
	return &usageError{fmt.Sprintf(format, args...)}
}

type usageError struct{ text string }

func (e *usageError) Error() string        { return e.text }
func (e *usageError) Is(target error) bool { return target == ErrUsage }

// Config holds every setting of a training run. Its YAML keys are the names in
// [Settings]; a run's args.yaml has this form.
type Config struct {
	Preset      string   `yaml:"preset,omitempty"`
	Model       string   `yaml:"model"`
	Network     string   `yaml:"network,omitempty"` // the layers of a network of one's own, as YAML; Model is then just its name
	Epochs      int      `yaml:"epochs"`
	BatchSize   int      `yaml:"batch-size"`
	LR          float64  `yaml:"lr"`
	Optimizer   string   `yaml:"optimizer"`
	Momentum    float64  `yaml:"momentum"`
	WeightDecay float64  `yaml:"weight-decay"`
	Scheduler   string   `yaml:"scheduler"`
	Augment     string   `yaml:"augment"`
	Rotate      *float64 `yaml:"rotate,omitempty"` // this and the next three each override one of Augment's transforms
	Flip        *string  `yaml:"flip,omitempty"`
	Crop        *int     `yaml:"crop,omitempty"`
	Erase       *float64 `yaml:"erase,omitempty"`
	Dropout     *float64 `yaml:"dropout,omitempty"` // replaces the probability of every dropout; nil for the network's own
	Smoothing   float64  `yaml:"label-smoothing"`
	Seed        uint64   `yaml:"seed"`
	SelectOn    string   `yaml:"select-on"`
	Patience    int      `yaml:"patience"`
	Precision   string   `yaml:"precision"`
	Device      string   `yaml:"device,omitempty"`
	CPU         bool     `yaml:"cpu"`
	Threads     int      `yaml:"threads"`
	Validate    bool     `yaml:"validate"`
	DataDir     string   `yaml:"data-dir,omitempty"`
	Out         string   `yaml:"out,omitempty"`
	Name        string   `yaml:"name,omitempty"`
	InitFrom    string   `yaml:"init,omitempty"`
	NoShuffle   bool     `yaml:"no-shuffle"`
	MaxSteps    int      `yaml:"max-steps"`
	NoEval      bool     `yaml:"no-eval"`     // skip evaluation: the last epoch's weights are kept; plateau and Patience have no effect
	EvalImages  int      `yaml:"eval-images"` // the largest number of images of each split to evaluate; 0 for all
	LogEvery    int      `yaml:"log-every"`
	NoProgress  bool     `yaml:"no-progress"`
	Quiet       bool     `yaml:"quiet"`
}

// DefaultConfig returns the default settings: fashioncnn, trained as in the
// original's best run, except that held-out images select the best epoch.
func DefaultConfig() Config {
	return Config{Model: "fashioncnn", Epochs: 10, BatchSize: 64, LR: 1e-3, Optimizer: "adam", Momentum: .9,
		Scheduler: "plateau", Augment: "none", Seed: 42, SelectOn: "val", Patience: 5,
		Precision: "fp32", Out: "runs"}
}

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
// unknown name is [ErrUsage].
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

// Check returns an error ([ErrUsage]) that names the first wrong setting and says
// what would be right.
func (c *Config) Check() error {
	if c.Device != "" && c.CPU {
		return usage("device and cpu exclude each other: leave one out")
	}
	if err := c.checkValues(); err != nil {
		return err
	}
	_, err := c.BuildNetwork()
	return err
}

// precision returns the precision that Precision names. Check has validated it.
func (c *Config) precision() kernels.Precision {
	p, _ := kernels.ParsePrecision(c.Precision)
	return p
}

// optimizer returns the optimiser settings in the form that package model takes.
func (c *Config) optimizer() model.Optimizer {
	o := model.DefaultAdam()
	if c.Optimizer == "sgd" {
		o = model.DefaultSGD()
		o.Momentum = float32(c.Momentum)
		o.Nesterov = o.Momentum > 0
	}
	o.WeightDecay = float32(c.WeightDecay)
	return o
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
// dropout of a built-in network even if it was not set.
func (c Config) YAML() (string, error) {
	if c.Dropout == nil && c.Network == "" {
		c.Dropout = new(model.DefaultDropout)
	}
	text, err := yaml.Marshal(c)
	return string(text), err
}
