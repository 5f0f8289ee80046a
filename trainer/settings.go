package trainer

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/model"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/setting"
)

// Setting describes a setting of a training: its name, which is both its YAML key
// and its flag, and the values that it takes.
type Setting struct {
	Name string
	setting.Kind
}

// maxImageSize is the largest height and width of images.
const maxImageSize = 512

// Settings lists all settings of a training, in the order of [Config]'s fields.
func Settings() []Setting { return settings }

var settings = []Setting{
	{"preset", setting.Choice(presetNames()...)},
	{"model", setting.Name(model.Names(), "the YAML file of a network's layers")},
	{"network", setting.Document("YAML", "the layers of a network, as in a file for model")},
	{"epochs", setting.Whole(1, 1<<20)},
	{"batch-size", setting.Whole(1, 1<<14)},
	{"lr", setting.Number("a positive number up to 1000, such as 0.001", func(x float64) bool { return x > 0 && x <= 1000 })},
	{"optimizer", setting.Choice("adam", "sgd")},
	{"momentum", fraction()},
	{"weight-decay", setting.Number("0 or a positive number up to 1000", within(0, 1000))},
	{"scheduler", setting.Choice("plateau", "none", "onecycle", "cosine")},
	{"augment", setting.Choice(names(augmentations)...)},
	{"rotate", setting.Number("a number of degrees from 0 to 180", within(0, 180))},
	{"flip", setting.Choice(names(flips)...)},
	{"crop", setting.Whole(0, maxImageSize)},
	{"erase", setting.Number("a probability from 0 to 1", within(0, 1))},
	{"dropout", fraction()},
	{"label-smoothing", fraction()},
	{"seed", setting.Unsigned()},
	{"select-on", setting.Choice("val", "test")},
	{"patience", setting.Whole(0, 1<<20)},
	{"precision", setting.Choice("fp32", "mixed")},
	{"device", setting.Text("DEVICE", "the index, name or UUID of a Vulkan device")},
	{"cpu", setting.Bool()},
	{"threads", setting.Whole(0, 1<<12)},
	{"validate", setting.Bool()},
	{"data-dir", setting.Path("FOLDER", "a folder")},
	{"out", setting.Path("FOLDER", "a folder")},
	{"name", setting.FolderName("a name for the run's folder, not a path")},
	{"init", setting.Path("FILE", "a .safetensors or .pth file, or a run's folder")},
	{"no-shuffle", setting.Bool()},
	{"max-steps", setting.Whole(0, math.MaxInt32)},
	{"no-eval", setting.Bool()},
	{"eval-images", setting.Whole(0, math.MaxInt32)},
	{"log-every", setting.Whole(0, math.MaxInt32)},
	{"no-progress", setting.Bool()},
	{"quiet", setting.Bool()},
}

func within(low, high float64) func(x float64) bool {
	return func(x float64) bool { return low <= x && x <= high }
}

// fraction takes numbers from 0 up to, but not including, 1.
func fraction() setting.Kind {
	return setting.Number("a number from 0 to below 1", func(x float64) bool { return x >= 0 && x < 1 })
}

// FindSetting returns the setting with the given name and whether there is one.
func FindSetting(name string) (Setting, bool) {
	i := slices.IndexFunc(settings, func(s Setting) bool { return s.Name == name })
	if i < 0 {
		return Setting{}, false
	}
	return settings[i], true
}

// Assignment gives a setting a value, written as in a YAML file.
type Assignment struct {
	Name, Value string
	Source      string // where it was given, for messages, such as "c.yaml: line 3"
}

// wrong adds the assignment's source to an error about its value.
func (a Assignment) wrong(err error) error {
	if e, ok := err.(*setting.Error); ok {
		e.Source = a.Source
	}
	return err
}

// Apply makes the assignments: presets first, since the others adapt a preset's
// values, then the rest in order, and networks last, since setting a model replaces
// the network. The error ([ErrUsage]) names the first wrong assignment, where it
// was given and what would be right.
func (c *Config) Apply(assignments ...Assignment) error {
	turns := map[string]int{"preset": -1, "network": 1}
	ordered := slices.Clone(assignments)
	slices.SortStableFunc(ordered, func(a, b Assignment) int { return turns[a.Name] - turns[b.Name] })
	for _, a := range ordered {
		if err := c.assign(a); err != nil {
			return err
		}
	}
	return nil
}

func (c *Config) assign(a Assignment) error {
	s, ok := FindSetting(a.Name)
	if !ok {
		return unknownKey(a.Source, a.Name, settingNames())
	}
	value, err := s.Parse(a.Name, a.Value)
	if err != nil {
		return a.wrong(err)
	}
	if a.Name == "preset" {
		return c.ApplyPreset(a.Value)
	}
	if a.Name == "model" {
		c.Network = ""
	}
	field := c.field(a.Name)
	if field.Kind() == reflect.Pointer {
		field.Set(reflect.New(field.Type().Elem()))
		field = field.Elem()
	}
	field.Set(reflect.ValueOf(value))
	return nil
}

// Value returns the value of the named setting as text, "" if it is not set. It
// panics if there is no such setting.
func (c Config) Value(name string) string {
	if field := reflect.Indirect(c.field(name)); field.IsValid() {
		return fmt.Sprint(field.Interface())
	}
	return ""
}

// field returns the field of the named setting: a pointer if the setting is
// optional.
func (c *Config) field(name string) reflect.Value {
	v := reflect.ValueOf(c).Elem()
	for i := range v.NumField() {
		if key, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ","); key == name {
			return v.Field(i)
		}
	}
	panic("no field for the setting " + name) // a test checks that every setting has one
}

// checkValues checks each setting on its own.
func (c *Config) checkValues() error {
	for _, s := range settings {
		field := reflect.Indirect(c.field(s.Name))
		if !field.IsValid() || s.IsText && field.String() == "" && (s.Values == nil || s.Name == "preset") {
			continue // not set
		}
		if err := s.Check(s.Name, field.Interface()); err != nil {
			return err
		}
	}
	return nil
}

// settingNames lists the names of all settings.
func settingNames() []string {
	var list []string
	for _, s := range settings {
		list = append(list, s.Name)
	}
	return list
}

// unknownKey returns an error that suggests the key that was probably meant, or
// lists all keys.
func unknownKey(source, key string, known []string) error {
	remedy := "want one of " + strings.Join(known, ", ")
	if near := setting.Nearest(key, known); near != "" {
		remedy = fmt.Sprintf("did you mean %q?", near)
	}
	return usage("%s: unknown key %s: %s", source, setting.Shown(key), remedy)
}
