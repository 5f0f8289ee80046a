package setting

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// inner, common and outer are settings in structs within each other.
type inner struct {
	Rate float64 `yaml:"rate"`
	Flip *string `yaml:"flip,omitempty"`
}

type common struct {
	inner `yaml:",inline"`
	Seed  uint64 `yaml:"seed"`
}

type outer struct {
	Name   string `yaml:"name,omitempty"`
	Common common `yaml:",inline"`
	Crop   *int   `yaml:"crop,omitempty"`
	Other  string // has no setting
}

var table = Table{
	{"name", Text("NAME", "a name")},
	{"rate", positive()},
	{"flip", Choice("random", "none")},
	{"seed", Unsigned()},
	{"crop", Whole(0, 4)},
}

func TestTableAssigns(t *testing.T) {
	o := outer{Other: "kept"}
	for _, a := range []Assignment{{Name: "name", Value: "a b"}, {Name: "rate", Value: ".5"}, {Name: "flip", Value: "random"}, {Name: "seed", Value: "18446744073709551615"}, {Name: "crop", Value: "0"}} {
		if value := Value(&o, a.Name); value != "" && value != "0" {
			t.Errorf("%s is %q before it is set", a.Name, value)
		}
		if err := table.Assign(&o, a); err != nil {
			t.Errorf("%s: %v", a.Name, err)
		}
	}
	if o.Name != "a b" || o.Common.Rate != .5 || *o.Common.Flip != "random" || o.Common.Seed != 1<<64-1 || *o.Crop != 0 || o.Other != "kept" {
		t.Errorf("%+v", o)
	}
	for name, want := range map[string]string{"name": "a b", "rate": "0.5", "flip": "random", "seed": "18446744073709551615", "crop": "0"} {
		if got := Value(&o, name); got != want {
			t.Errorf("%s reads back as %q, want %q", name, got, want)
		}
	}
	// A copy shares the pointers: assigning to it must not change what they point to.
	other := o
	if err := table.Assign(&other, Assignment{Name: "crop", Value: "3"}); err != nil || *other.Crop != 3 || *o.Crop != 0 {
		t.Errorf("crop of the copy %d and of the original %d (%v), want 3 and 0", *other.Crop, *o.Crop, err)
	}
	if err := table.Check(&o); err != nil {
		t.Errorf("what was assigned: %v", err)
	}
}

func TestTableRefuses(t *testing.T) {
	const source = "c.yaml: line 3"
	for _, c := range []struct {
		name, value, say string
	}{
		{"rate", "x", `c.yaml: line 3: rate is "x": want a positive number up to 1000`},
		{"flip", "often", `c.yaml: line 3: flip is "often": want random or none`},
		{"crop", "5", "c.yaml: line 3: crop is 5: want a whole number from 0 to 4"},
		{"name", "", "c.yaml: line 3: name is empty: want a name"},
		{"Rate", "1", `c.yaml: line 3: unknown key "Rate": did you mean "rate"?`},
		{"Other", "x", `c.yaml: line 3: unknown key "Other": want one of name, rate, flip, seed, crop`},
	} {
		var o outer
		err := table.Assign(&o, Assignment{Name: c.name, Value: c.value, Source: source})
		if !errors.Is(err, ErrWrong) || err.Error() != c.say {
			t.Errorf("%s %q: %v, want %s", c.name, c.value, err, c.say)
		}
		if o != (outer{}) {
			t.Errorf("%s %q was stored: %+v", c.name, c.value, o)
		}
	}
}

func TestTableChecks(t *testing.T) {
	good := outer{Common: common{inner: inner{Rate: 1}}} // without a name, flip and crop, which may be absent
	if err := table.Check(&good); err != nil {
		t.Errorf("%+v: %v", good, err)
	}
	for say, change := range map[string]func(*outer){
		"rate is 0: want a positive number up to 1000":   func(o *outer) { o.Common.Rate = 0 },
		`flip is empty: want random or none`:             func(o *outer) { o.Common.Flip = new("") },
		`flip is "often": want random or none`:           func(o *outer) { o.Common.Flip = new("often") },
		"crop is -1: want a whole number from 0 to 4":    func(o *outer) { o.Crop = new(-1) },
		"rate is NaN: want a positive number up to 1000": func(o *outer) { o.Common.Rate = math.NaN() },
	} {
		o := good
		change(&o)
		if err := table.Check(&o); !errors.Is(err, ErrWrong) || err.Error() != say {
			t.Errorf("%v, want %s", err, say)
		}
	}
}

func TestTableFinds(t *testing.T) {
	if s, ok := table.Find("crop"); !ok || s.Name != "crop" || s.Want != Whole(0, 4).Want {
		t.Errorf("crop: %+v, %v", s, ok)
	}
	if _, ok := table.Find("Crop"); ok {
		t.Error("Crop is found")
	}
	if names := strings.Join(table.Names(), " "); names != "name rate flip seed crop" {
		t.Errorf("names %s", names)
	}
}

// A setting without a field is a mistake in the program.
func TestTableNeedsFields(t *testing.T) {
	defer func() {
		if r := recover(); r == nil || !strings.Contains(r.(string), "speed") {
			t.Errorf("panic %v, want one that names the setting", r)
		}
	}()
	_ = Table{{"speed", Bool()}}.Assign(&outer{}, Assignment{Name: "speed", Value: "true"})
}

// The entries of a file become assignments, and say where they are.
func TestAssignments(t *testing.T) {
	entries, err := ParseEntries("c.yaml", []byte("# rates\nrate: &r 0.5\n\n'flip': \"random\"\ncrop: 03\nseed: *r\n"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := table.Assignments(entries)
	want := []Assignment{{"rate", "0.5", "c.yaml: line 2"}, {"flip", "random", "c.yaml: line 4"}, {"crop", "03", "c.yaml: line 5"}, {"seed", "0.5", "c.yaml: line 6"}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v (%v), want %v", got, err, want)
	}
	for text, say := range map[string]string{
		"rate: 1\ncolour: 2": `c.yaml: line 2: unknown key "colour": want one of name, rate`,
		"rate: 1\nrates: 2":  `c.yaml: line 2: unknown key "rates": did you mean "rate"?`,
		"rate: '1'":          `c.yaml: line 1: rate is the text "1": want a positive number`,
		"seed: [1, 2]":       "c.yaml: line 1: seed is a list: want a whole number",
		"name:":              "c.yaml: line 1: name has no value: want a name",
		"crop: 1\ncrop: 2":   `c.yaml: line 2: "crop" is given twice, first on line 1`,
		"crop: !!int 1":      "c.yaml: line 1: crop is tagged int",
		"{crop: {crop: 1}}":  "c.yaml: line 1: crop is a group of keys",
		"- crop":             "c.yaml: line 1: found a list: want lines",
		"crop: 1\n\tseed: 1": "c.yaml: line 2: indented with a tab",
	} {
		entries, err := ParseEntries("c.yaml", []byte(text))
		if err == nil {
			_, err = table.Assignments(entries)
		}
		if !errors.Is(err, ErrWrong) || !strings.HasPrefix(err.Error(), say) {
			t.Errorf("%q: %v, want %s", text, err, say)
		}
	}
	if entries, err := ParseEntries("c.yaml", nil); err != nil || entries != nil {
		t.Errorf("an empty file: %v (%v)", entries, err)
	}
}

// Decode reads what the program wrote and refuses the rest in one line, in memory in
// proportion to the text.
func TestDecode(t *testing.T) {
	type content struct {
		Name string
		Runs map[string][]string
	}
	var got content
	if err := Decode("x.yaml", []byte("name: &a n\nother: {b: 1}\nruns:\n  r: [*a, m]\n"), &got); err != nil || got.Name != "n" || !slices.Equal(got.Runs["r"], []string{"n", "m"}) {
		t.Errorf("%+v, %v", got, err)
	}
	if err := Decode("x.yaml", nil, &got); err != nil {
		t.Errorf("an empty file: %v", err)
	}
	keys := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "k%d: , ", i)
		}
		return b.String()
	}
	for text, say := range map[string]string{
		"name: {" + strings.Repeat("a: ,", 900) + "}":              `x.yaml: line 1: "a" is given twice`,
		"runs: {r: [{" + strings.Repeat("? [b] : ,", 900) + "}]}":  "x.yaml: line 1: the key is a list",
		"name: {" + strings.Repeat("\"c\\n\" : , ", 2) + "}":       `x.yaml: line 1: "c\n" is given twice`,
		"name: {" + strings.Repeat("a: ,", 2500) + "}":             "x.yaml: line 1: found a group of more than 1000 keys",
		"name: {" + keys(mostKeys+1) + "}":                         "x.yaml: line 1: found a group of more than 1000 keys",
		"runs: [" + strings.Repeat("{a: 1}, ", 2500) + "]":         "x.yaml: line 1 is damaged",
		"runs: {r: [" + strings.Repeat("[], ", 2500) + "]}":        "x.yaml: line 1 is damaged",
		"name: b\nruns: &r {r: [b]}\nother: c\nmore: {runs: [*r, ": "x.yaml: line 4: ",
		"runs: {r: [" + strings.Repeat("a,", 1<<20) + "]}":         "x.yaml has more than 131072 values",
		"runs:" + strings.Repeat("\n- - - -", 1<<17):               "x.yaml has more than 131072 values",
		"a: &a [*a]\nruns: *a":                                     "x.yaml: line 1 is damaged",
		"name: b\nname: c":                                         `x.yaml: line 2: "name" is given twice, first on line 1`,
	} {
		var into content
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := Decode("x.yaml", []byte(text), &into)
		runtime.ReadMemStats(&after)
		if !errors.Is(err, ErrWrong) || !strings.HasPrefix(err.Error(), say) || len(err.Error()) > 300 || strings.Contains(err.Error(), "\n") {
			t.Errorf("%.60q: %.200v, want one line with %s", text, err, say)
		}
		if used, most := after.TotalAlloc-before.TotalAlloc, uint64(8<<20+300*min(len(text), 10_000)); used > most {
			t.Errorf("%.60q: %d bytes of memory for %d of text, want at most %d", text, used, len(text), most)
		}
	}
}
