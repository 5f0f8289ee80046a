package trainer

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/model"
)

// ErrUsage marks a setting that is wrong; the message names it and says what
// is right.
var ErrUsage = errors.New("wrong setting")

// usage returns an error that is [ErrUsage] and reads as the message alone.
func usage(format string, args ...any) error {
	return &usageError{fmt.Sprintf(format, args...)}
}

type usageError struct{ text string }

func (e *usageError) Error() string        { return e.text }
func (e *usageError) Is(target error) bool { return target == ErrUsage }

// Config holds every setting of a training run. Its YAML keys are the names of
// the command line's flags, and args.yaml of a run is one of its forms.
type Config struct {
	Preset      string   `yaml:"preset,omitempty"`
	Model       string   `yaml:"model"`
	Epochs      int      `yaml:"epochs"`
	BatchSize   int      `yaml:"batch-size"`
	LR          float64  `yaml:"lr"`
	Optimizer   string   `yaml:"optimizer"`
	Momentum    float64  `yaml:"momentum"`
	WeightDecay float64  `yaml:"weight-decay"`
	Scheduler   string   `yaml:"scheduler"`
	Augment     string   `yaml:"augment"`
	Rotate      *float64 `yaml:"rotate,omitempty"` // this and the next three take the place of one of Augment's transforms
	Flip        *string  `yaml:"flip,omitempty"`
	Crop        *int     `yaml:"crop,omitempty"`
	Erase       *float64 `yaml:"erase,omitempty"`
	Dropout     float64  `yaml:"dropout"`
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
	Out         string   `yaml:"out"`
	Name        string   `yaml:"name,omitempty"`
	InitFrom    string   `yaml:"init,omitempty"`
	NoShuffle   bool     `yaml:"no-shuffle"`
	MaxSteps    int      `yaml:"max-steps"`
	NoEval      bool     `yaml:"no-eval"`     // the last epoch's weights are the run's; plateau and Patience have nothing to look at
	EvalImages  int      `yaml:"eval-images"` // at most so many images of each split are evaluated; 0 for all
	LogEvery    int      `yaml:"log-every"`
	NoProgress  bool     `yaml:"no-progress"`
	Quiet       bool     `yaml:"quiet"`
}

// DefaultConfig returns the settings that hold where nothing else is said:
// fashioncnn as the original's best run trained it.
func DefaultConfig() Config {
	return Config{Model: "fashioncnn", Epochs: 10, BatchSize: 64, LR: 1e-3, Optimizer: "adam", Momentum: .9,
		Scheduler: "plateau", Augment: "none", Dropout: .25, Seed: 42, SelectOn: "val", Patience: 5,
		Precision: "fp32", Out: "runs"}
}

// Preset is a named training of the original study.
type Preset struct {
	Name, Model, Augment string
	Dropout              float64
	// What the original reached, selecting on the test set.
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

// FindPreset returns the preset of that name and whether there is one.
func FindPreset(name string) (Preset, bool) {
	all := Presets()
	i := slices.IndexFunc(all, func(p Preset) bool { return p.Name == name })
	if i < 0 {
		return Preset{}, false
	}
	return all[i], true
}

// ApplyPreset overwrites what the named preset sets: model, augmentation and
// dropout.
func (c *Config) ApplyPreset(name string) error {
	if p, ok := FindPreset(name); ok {
		c.Preset, c.Model, c.Augment, c.Dropout = p.Name, p.Model, p.Augment, p.Dropout
		return nil
	}
	var names []string
	for _, p := range Presets() {
		names = append(names, p.Name)
	}
	return usage("unknown preset %q: want one of %s", name, strings.Join(names, ", "))
}

// choices lists the values of the settings that are one of a few words.
func (c *Config) choices() map[string]struct {
	value string
	among []string
} {
	return map[string]struct {
		value string
		among []string
	}{
		"model":     {c.Model, model.Names()},
		"optimizer": {c.Optimizer, []string{"adam", "sgd"}},
		"scheduler": {c.Scheduler, []string{"plateau", "none", "onecycle", "cosine"}},
		"select-on": {c.SelectOn, []string{"val", "test"}},
		"precision": {c.Precision, []string{"fp32", "mixed"}},
	}
}

// Check returns an error ([ErrUsage]) that names the first setting that is
// wrong and what would be right.
func (c *Config) Check() error {
	choices := c.choices()
	for _, name := range slices.Sorted(maps.Keys(choices)) {
		if ch := choices[name]; !slices.Contains(ch.among, ch.value) {
			return usage("--%s %q is unknown: want one of %s", name, ch.value, strings.Join(ch.among, ", "))
		}
	}
	if c.Device != "" && c.CPU {
		return usage("--device and --cpu exclude each other: leave one out")
	}
	if _, err := c.augmentation(); err != nil {
		return err
	}
	return c.checkNumbers()
}

// precision returns what Precision names; Check lets no other names through.
func (c *Config) precision() kernels.Precision {
	p, _ := kernels.ParsePrecision(c.Precision)
	return p
}

func (c *Config) checkNumbers() error {
	for _, n := range []struct {
		name     string
		value    int
		min, max int
	}{
		{"epochs", c.Epochs, 1, 1 << 20},
		{"batch-size", c.BatchSize, 1, 1 << 14},
		{"patience", c.Patience, 0, 1 << 20},
		{"threads", c.Threads, 0, 1 << 12},
		{"max-steps", c.MaxSteps, 0, math.MaxInt32},
		{"log-every", c.LogEvery, 0, math.MaxInt32},
		{"eval-images", c.EvalImages, 0, math.MaxInt32},
	} {
		if n.value < n.min || n.value > n.max {
			return usage("--%s is %d: want a whole number from %d to %d", n.name, n.value, n.min, n.max)
		}
	}
	if !(c.LR > 0 && c.LR <= 1e3) {
		return usage("--lr is %v: want a positive number, such as 0.001", c.LR)
	}
	if !(c.WeightDecay >= 0 && c.WeightDecay <= 1e3) {
		return usage("--weight-decay is %v: want 0 or a positive number", c.WeightDecay)
	}
	for _, p := range []struct {
		name  string
		value float64
	}{{"dropout", c.Dropout}, {"label-smoothing", c.Smoothing}, {"momentum", c.Momentum}} {
		if !(p.value >= 0 && p.value < 1) {
			return usage("--%s is %v: want a number from 0 to below 1", p.name, p.value)
		}
	}
	return nil
}

// optimizer returns the plan's form of the optimiser settings.
func (c *Config) optimizer() model.Optimizer {
	o := model.DefaultAdam()
	if c.Optimizer == "sgd" {
		o = model.DefaultSGD()
		o.Momentum = float32(c.Momentum)
		o.Nesterov = c.Momentum > 0
	}
	o.WeightDecay = float32(c.WeightDecay)
	return o
}

// RunName returns the folder name of the run: Name, else the preset's, else
// the model's.
func (c *Config) RunName() string {
	for _, name := range []string{c.Name, c.Preset} {
		if name != "" {
			return name
		}
	}
	return c.Model
}

// LoadYAML overwrites the settings that a YAML file gives. Keys are those of
// [Config]; the section "environment" that a run's args.yaml has is passed
// over, so that file repeats its run. The error names file and line.
func (c *Config) LoadYAML(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return usage("cannot read the configuration: %v", err)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return usage("%s: %s", path, yamlMessage(err))
	}
	if len(doc.Content) == 0 {
		return nil
	}
	root := doc.Content[0]
	if root.Kind != yaml.MappingNode {
		return usage("%s: want lines of the form \"key: value\"", path)
	}
	return c.decode(path, root)
}

// decode overwrites the settings that a mapping of a YAML file gives.
func (c *Config) decode(path string, root *yaml.Node) error {
	keys := configKeys()
	for i := 0; i < len(root.Content); i += 2 {
		key := root.Content[i]
		if key.Value != environmentKey && !slices.Contains(keys, key.Value) {
			return usage("%s: line %d: unknown key %q%s", path, key.Line, key.Value, suggestion(key.Value, keys))
		}
	}
	if err := root.Decode(c); err != nil {
		return usage("%s: %s", path, yamlMessage(err))
	}
	return nil
}

// environmentKey is the section of args.yaml that records where a run ran.
const environmentKey = "environment"

// configKeys returns the YAML keys of Config, in its order.
func configKeys() []string {
	var keys []string
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Config]()) {
		key, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		keys = append(keys, key)
	}
	return keys
}

// suggestion names the key that was probably meant, or lists all.
func suggestion(key string, keys []string) string {
	normal := strings.ReplaceAll(strings.ToLower(key), "_", "-")
	for _, k := range keys {
		if k == normal || (len(normal) > 2 && (strings.HasPrefix(k, normal) || strings.HasPrefix(normal, k))) {
			return fmt.Sprintf(": did you mean %q?", k)
		}
	}
	return ": want one of " + strings.Join(keys, ", ")
}

// yamlMessage puts the library's message, which may run over lines, on one.
func yamlMessage(err error) string {
	return strings.Join(strings.Fields(strings.TrimPrefix(err.Error(), "yaml: ")), " ")
}

// YAML returns the settings in the form that LoadYAML reads.
func (c Config) YAML() (string, error) {
	text, err := yaml.Marshal(c)
	return string(text), err
}
