package study

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/setting"
)

// jargon lists words of libraries and of Go that must not occur in messages.
var jargon = []string{"unmarshal", "!!", "strconv", "struct", "float64", "uint64", "[]", "node", "token", "yaml: "}

// Every wrong value is refused with the file, the line, the setting, what it
// was given and what it takes.
func TestYAMLRefuses(t *testing.T) {
	const whole, positive = "want a whole number from ", "want a positive number up to 1000, such as 0.001"
	for text, want := range map[string]string{
		"epochs: 3.5":                       "line 1: epochs is 3.5: " + whole + "1 to 1048576",
		"epochs: 3.0":                       "line 1: epochs is 3.0: " + whole,
		"epochs: 1e1":                       "line 1: epochs is 1e1: " + whole,
		`epochs: "3"`:                       `line 1: epochs is the text "3": ` + whole,
		"epochs: |\n  3\n":                  `line 1: epochs is the text "3\n": ` + whole,
		"epochs: 0x10":                      `line 1: epochs is "0x10": ` + whole,
		"epochs: 0o52":                      `line 1: epochs is "0o52": ` + whole,
		"epochs: 0b11":                      `line 1: epochs is "0b11": ` + whole,
		"epochs: 1_000":                     `line 1: epochs is "1_000": ` + whole,
		"epochs: 1:30":                      `line 1: epochs is "1:30": ` + whole,
		"epochs: .inf":                      `line 1: epochs is ".inf": ` + whole,
		"epochs: true":                      `line 1: epochs is "true": ` + whole,
		"epochs: 2024-01-02":                `line 1: epochs is "2024-01-02": ` + whole,
		"epochs: 0":                         "line 1: epochs is 0: " + whole,
		"epochs: 99999999999999999999":      "line 1: epochs is 99999999999999999999: " + whole,
		"epochs:":                           "line 1: epochs has no value: " + whole,
		"epochs: ~":                         "line 1: epochs has no value: " + whole,
		"epochs: null":                      "line 1: epochs has no value: " + whole,
		"epochs: [3]":                       "line 1: epochs is a list: " + whole,
		"epochs: {a: 3}":                    "line 1: epochs is a group of keys: " + whole,
		"epochs: !!int 3":                   "line 1: epochs is tagged int: " + whole,
		"epochs: !!str 3":                   "line 1: epochs is tagged str: " + whole,
		"patience: 0.5":                     "line 1: patience is 0.5: " + whole + "0",
		"batch-size: 64.9":                  "line 1: batch-size is 64.9: " + whole,
		"seed: -0.5":                        "line 1: seed is -0.5: " + whole + "0 to 18446744073709551615",
		"seed: -1.5":                        "line 1: seed is -1.5: " + whole,
		"seed: -1":                          "line 1: seed is -1: " + whole,
		"seed: 18446744073709551616":        "line 1: seed is 18446744073709551616: " + whole,
		"seed: 0-9":                         `line 1: seed is "0-9": ` + whole,
		"crop: 2.5":                         "line 1: crop is 2.5: " + whole + "0 to 512",
		"model: logistic\n\nlr: 1e8":        "line 3: lr is 1e8: " + positive,
		"lr: .nan":                          `line 1: lr is ".nan": ` + positive,
		"lr: .inf":                          `line 1: lr is ".inf": ` + positive,
		"lr: 0x1p-3":                        `line 1: lr is "0x1p-3": ` + positive,
		"lr: 0,001":                         `line 1: lr is "0,001": ` + positive,
		"lr: 1e-50":                         "line 1: lr is 1e-50, which is 0 in 32-bit precision: " + positive,
		"lr: '0.1'":                         `line 1: lr is the text "0.1": ` + positive,
		"rotate: 181":                       "line 1: rotate is 181: want a number of degrees from 0 to 180",
		"erase:":                            "line 1: erase has no value: want a probability from 0 to 1",
		"cpu: yes":                          `line 1: cpu is "yes": want true or false`,
		"cpu: 1":                            "line 1: cpu is 1: want true or false",
		`cpu: "true"`:                       `line 1: cpu is the text "true": want true or false`,
		"optimizer: 3":                      "line 1: optimizer is 3: want adam, adamw, muon or sgd",
		"optimizer: [adam]":                 "line 1: optimizer is a list: want adam, adamw, muon or sgd",
		"preset: main":                      `line 1: preset is "main": want main_no_aug, `,
		`name: ""`:                          "line 1: name is empty: want a name",
		"data-dir:":                         "line 1: data-dir has no value: want a folder",
		"out: [runs]":                       "line 1: out is a list: want a folder",
		"lr: 0.1\nepochs: 3\nlr: 0.2":       `line 3: "lr" is given twice, first on line 1`,
		"<<: {lr: 0.1}":                     "line 1: merging with << is not supported: write the settings out",
		"lr: 0.1\n---\nlr: 0.2":             "line 2: a second document begins: want one",
		"lr: 0.1\nepochs: 3\n---\nnothing:": "a second document begins",
		"lr: 0.1\n\tepochs: 3":              "line 2: indented with a tab: YAML requires spaces",
		"lr: *rate":                         "is not valid YAML",
		"lr: 0.1: 0.2":                      `line 1: "lr: 0.1: 0.2" is not valid YAML: want lines of the form "key: value"`,
		"epochs: 3\nlr: [0.1":               "is not valid YAML",
		"lr: \"0.1":                         `line 1: "lr: \"0.1" is not valid YAML`,
		"lr: 0.1\n  epochs: 3":              "is not valid YAML",
		"lr:0.1":                            `line 1: found "lr:0.1": want lines of the form "key: value"`,
		"42":                                "line 1: found 42: want lines",
		"[lr]":                              "line 1: found a list: want lines",
		"? [a]\n: 3":                        "line 1: the key is a list: want lines",
		"learning_rate: 3":                  `line 1: unknown key "learning_rate": want one of preset, model,`,
		"Epochs: 3":                         `line 1: unknown key "Epochs": did you mean "epochs"?`,
		"epohcs: 3":                         `line 1: unknown key "epohcs": did you mean "epochs"?`,
		"epochs=3":                          `line 1: found "epochs=3": want lines`,
		"base: {lr: 0.1}":                   "describes an experiment",
		"lr: 0.1\x00":                       "is not UTF-8 text",
		"lr: \xff":                          "is not UTF-8 text",
	} {
		for _, ending := range []string{"", "\n", "\r\n"} {
			file := text + ending
			if ending == "\r\n" {
				file = strings.ReplaceAll(text, "\n", "\r\n") + ending
			}
			c := DefaultConfig()
			err := c.ParseYAML("c.yml", []byte(file))
			if !errors.Is(err, trainer.ErrUsage) || !strings.HasPrefix(err.Error(), "c.yml") || !strings.Contains(err.Error(), want) || strings.ContainsAny(err.Error(), "\r\n") {
				t.Errorf("%q: %v, want %q", file, err, want)
				continue
			}
			for _, word := range jargon {
				if strings.Contains(err.Error(), word) {
					t.Errorf("%q: %v says %q", file, err, word)
				}
			}
		}
	}
}

// What people write is read as they mean it.
func TestYAMLAccepts(t *testing.T) {
	rate := func(lr float64, epochs int) func(c *Config) {
		return func(c *Config) { c.LR, c.Epochs = lr, epochs }
	}
	utf16 := func(text string) string {
		b := []byte{0xff, 0xfe}
		for _, r := range text {
			b = append(b, byte(r), 0)
		}
		return string(b)
	}
	for text, want := range map[string]func(c *Config){
		"":                                   rate(.001, 10),
		"# nothing\n":                        rate(.001, 10),
		"---\n":                              rate(.001, 10),
		"---\n# nothing\n...\n":              rate(.001, 10),
		"---\nlr: 0.5\nepochs: 3\n...\n":     rate(.5, 3),
		"lr: 0.5\r\nepochs: 3\r\n":           rate(.5, 3),
		"\ufefflr: 0.5\nepochs: 3\n":         rate(.5, 3),
		utf16("lr: 0.5\nepochs: 3\n"):        rate(.5, 3),
		"{lr: 5e-1, epochs: 03}":             rate(.5, 3),
		"lr: &half 0.5\nweight-decay: *half": func(c *Config) { c.LR, c.WeightDecay = .5, new(.5) },
		"lr: 1":                              rate(1, 10),
		"lr: .5 # half\nepochs: 3":           rate(.5, 3),
		"epochs: 052":                        rate(.001, 52),
		"epochs: 08":                         rate(.001, 8),
		"cpu: True":                          func(c *Config) { c.CPU = true },
		"device: 0":                          func(c *Config) { c.Device = "0" },
		"name: 1.10":                         func(c *Config) { c.Name = "1.10" },
		`"name": yes`:                        func(c *Config) { c.Name = "yes" },
		"flip: 'random'":                     func(c *Config) { c.Flip = new("random") },
		"seed: 18446744073709551615":         func(c *Config) { c.Seed = 1<<64 - 1 },
		"environment: {lr: [1]}\nlr: 0.5":    rate(.5, 10),
		// The preset's values come first, wherever it is in the file.
		"dropout: 0.5\npreset: alternative_shallow": func(c *Config) {
			c.Preset, c.Model, c.Augment, c.Dropout = "alternative_shallow", "alternative", "original", new(.5)
		},
	} {
		c, expected := DefaultConfig(), DefaultConfig()
		want(&expected)
		if err := c.ParseYAML("c.yaml", []byte(text)); err != nil || !reflect.DeepEqual(c, expected) {
			t.Errorf("%q: %v, %+v, want %+v", text, err, c, expected)
		}
	}
}

// Every exported field of Config has a setting, in the same order, of the same type.
func TestSettingsAreConfigs(t *testing.T) {
	fields := slices.DeleteFunc(reflect.VisibleFields(reflect.TypeFor[Config]()), func(f reflect.StructField) bool { return f.Anonymous || !f.IsExported() })
	if len(fields) != len(Settings()) {
		t.Fatalf("%d settings for %d fields", len(Settings()), len(fields))
	}
	for i, s := range Settings() {
		key, _, _ := strings.Cut(fields[i].Tag.Get("yaml"), ",")
		if key != s.Name {
			t.Errorf("setting %d is %s, and the field's key %s", i, s.Name, key)
		}
		var c Config
		taken := 0
		for _, value := range append(s.Values, "0.5", "1") {
			err := c.Apply(setting.Assignment{Name: s.Name, Value: value})
			if err == nil {
				taken++
			}
			if err == nil && c.Value(s.Name) != value {
				t.Errorf("%s of %s reads back as %q", value, s.Name, c.Value(s.Name))
			}
			if err != nil && slices.Contains(s.Values, value) {
				t.Errorf("%s %s: %v", s.Name, value, err)
			}
		}
		if taken == 0 {
			t.Errorf("%s takes none of the values", s.Name)
		}
	}
}

// A value that is allowed in 64 bits must be in the 32 bits of the plan, too.
func TestCheckOfRoundedNumbers(t *testing.T) {
	for _, name := range []string{"momentum", "dropout", "label-smoothing"} {
		for _, value := range []string{".9999999999", "1e-50"} {
			c := DefaultConfig()
			if err := c.Apply(setting.Assignment{Name: name, Value: value}); !errors.Is(err, trainer.ErrUsage) || !strings.Contains(err.Error(), "32-bit") {
				t.Errorf("%s %s: %v", name, value, err)
			}
		}
	}
	c := DefaultConfig()
	c.Momentum = 1 - 1e-12
	if err := c.Check(); !errors.Is(err, trainer.ErrUsage) || !strings.Contains(err.Error(), "momentum is 0.999999999999, which is 1 in 32-bit precision") {
		t.Errorf("Check: %v", err)
	}
}
