package study

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/setting"
)

// FuzzSettings checks that settings that are accepted can be written and read again.
func FuzzSettings(f *testing.F) {
	c := DefaultConfig()
	f.Add([]byte(c.mustYAML()))
	for _, text := range []string{"preset: main_no_aug\nepochs: 3\nlr: 0.5", "seed: 042", "epochs: 1.5", "patience: 9223372036854775808", "a: &a [*a]", "<<: {lr: 1}",
		"network: 'layers: [flatten, linear: {out: classes}]'\nmodel: x", "lr: .inf", "dropout: ~", "\xff\xfea\x00", "%YAML 1.1\n---\nlr: 1\n--- \n"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c := DefaultConfig()
		if err := c.ParseYAML("settings.yaml", text); err != nil {
			wantOneLine(t, err)
			return
		}
		if err := c.Check(); err != nil {
			wantOneLine(t, err)
			return
		}
		again := DefaultConfig()
		if err := again.ParseYAML("settings.yaml", []byte(c.mustYAML())); err != nil {
			t.Fatalf("%v: cannot read what was written:\n%s", err, c.mustYAML())
		}
		if again.mustYAML() != c.mustYAML() {
			t.Errorf("written\n%s\nand again\n%s", c.mustYAML(), again.mustYAML())
		}
	})
}

func wantOneLine(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, trainer.ErrUsage) || strings.ContainsAny(err.Error(), "\n\x1b\x00") {
		t.Errorf("the error %q is not ErrUsage in one line", err)
	}
}

// FuzzExperiment checks that every run of an experiment has a folder of its own, inside
// that of the experiment.
func FuzzExperiment(f *testing.F) {
	for _, text := range []string{"name: rates\nbase: {preset: main_no_aug, epochs: 5}\ngrid:\n  lr: [0.01, 0.001]\n  seed: 0-9\n", "grid: {seed: [1, 3-5]}", "grid: {seed: 0-18446744073709551615}",
		"name: ../x\ngrid: {lr: [1]}", "base: {name: ..}\ngrid: {optimizer: [sgd, adam]}", "grid: {model: [a/b.yaml]}",
		"base: {preset: fast, seed: 0-2}\nvariants:\n- {}\n- {lr: 0.1, optimizer: sgd}\n- {name: small, preset: small}\n", "variants: [{}, {name: a}]\ngrid: {lr: [1, 2]}"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		e, err := ParseExperiment("experiment.yaml", text)
		if err != nil {
			if !errors.Is(err, trainer.ErrUsage) {
				t.Errorf("%v is not ErrUsage", err)
			}
			return
		}
		names := map[string]bool{}
		for _, c := range e.Groups[0].Runs {
			if !isFolderName(c.Name) || names[c.Name] {
				t.Errorf("the run %q", c.Name)
			}
			names[c.Name] = true
		}
		if !isFolderName(e.Name) {
			t.Errorf("the experiment %q", e.Name)
		}
	})
}

// FuzzSearch checks that every trial of a search has a folder of its own, inside that of
// the search, and settings in its ranges that can be written and read again.
func FuzzSearch(f *testing.F) {
	for _, text := range []string{"base: {optimizer: sgd}\nranges:\n  lr: {log-uniform: [0.01, 1]}\n  crop: {uniform: [0, 4]}\n  augment: [none, light]\n", "ranges: {lr: {uniform: [1e-45, 1e-44]}}",
		"ranges: {batch-size: {log-uniform: [1, 16384]}}\nmax-epochs: 1048576", "name: ../x\nranges: {lr: [1, 2, 3]}", "ranges: {lr: {uniform: &a [*a, 1]}}", "ranges: {patience: {uniform: [0, 9223372036854775807]}}"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := ParseSearch("search.yaml", text, setting.Assignment{Name: "trials", Value: "3", Source: "3"})
		if err != nil {
			wantOneLine(t, err)
			return
		}
		if !isFolderName(s.Name) || len(s.trials) != 3 || len(s.Rungs) == 0 {
			t.Errorf("%+v", s)
		}
		for _, trial := range s.trials {
			if !isFolderName(trial.config.Name) {
				t.Errorf("the trial %q", trial.config.Name)
			}
			if err := trial.config.Check(); err != nil {
				t.Error(err)
			}
		}
	})
}

// FuzzSearchResult checks that a search goes on from any state that it accepts.
func FuzzSearchResult(f *testing.F) {
	s, err := ParseSearch("x.yaml", []byte("ranges: {augment: [none, light]}\ntrials: 2\nmax-epochs: 3"))
	if err != nil {
		f.Fatal(err)
	}
	begun, err := json.Marshal(s.begun())
	if err != nil {
		f.Fatal(err)
	}
	for _, accuracies := range []string{"null", "[0.5]", "[0.5,0.25]", "[0.5,0.25,1e300]"} {
		f.Add([]byte(strings.Replace(string(begun), `"accuracies":null`, `"accuracies":`+accuracies, 1)))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := s.parseResult("search.json", text)
		if err != nil {
			wantOneLine(t, err)
			return
		}
		if left := r.Left(); left < 0 || left > 3 {
			t.Errorf("%d trainings are left", left)
		}
		if header, rows := r.Table(func(float64) string { return "" }); len(rows) != 2 || len(rows[0]) != len(header) {
			t.Errorf("%q", rows)
		}
		r.Best()
		r.in(1)
	})
}

func isFolderName(name string) bool {
	return filepath.IsLocal(name) && name != "." && !strings.ContainsAny(name, "/\\\x00")
}

// FuzzIndex checks that no name in an experiment's folder leads out of it.
func FuzzIndex(f *testing.F) {
	for _, text := range []string{"name: x\ngroups:\n  - name: g\n    runs: [a, b-1]\n", "groups: [{runs: [../../etc]}]", "groups: [{runs: [/etc]}]", "groups: [{runs: ['']}]", "groups: [{runs: ['C:x']}]"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		index, err := parseIndex("experiment.yaml", text)
		if err != nil {
			wantOneLine(t, err)
			return
		}
		for _, g := range index.Groups {
			for _, run := range g.Runs {
				if !isFolderName(run) {
					t.Errorf("the run %q", run)
				}
			}
		}
	})
}

// A name in an experiment's file cannot lead out of its folder.
func TestIndexLeadsNowhereElse(t *testing.T) {
	for _, name := range []string{"../other", "/etc", "a/b", "..", ".", ""} {
		_, err := parseIndex("experiment.yaml", []byte("name: x\ngroups: [{name: g, runs: ['"+name+"']}]"))
		if !errors.Is(err, setting.ErrWrong) {
			t.Errorf("the run %q: %v", name, err)
		}
	}
	if index, err := parseIndex("experiment.yaml", []byte("name: x\ngroups: [{name: g, runs: [lr0.1-seed1]}]")); err != nil ||
		!reflect.DeepEqual(index.Groups, []groupIndex{{"g", []string{"lr0.1-seed1"}}}) {
		t.Errorf("%v, %v", index, err)
	}
}

// The file of the largest experiment can be read again.
func TestLargeIndex(t *testing.T) {
	x := experimentIndex{Name: "large", Groups: []groupIndex{{Name: "lr"}}, Jobs: jobsIndex{Version: "v1"}}
	for i := range maxRuns {
		run := fmt.Sprintf("resnet20-lr0.001-label-smoothing0.1-ema0.999-seed%d", i)
		x.Groups[0].Runs, x.Jobs.Runs = append(x.Groups[0].Runs, run), append(x.Jobs.Runs, run)
	}
	dir := t.TempDir()
	if err := x.write(dir); err != nil {
		t.Fatal(err)
	}
	if got, err := readIndex(dir); err != nil || !reflect.DeepEqual(*got, x) {
		t.Error(err)
	}
}

// FuzzRecord checks that a record that is accepted can be joined with a run's.
func FuzzRecord(f *testing.F) {
	record := func(seed uint64, twins []int) *Record {
		r, err := NewRecord("x", "2026-11-27", []*Run{recorded(seed, 10, 0, 1)}, twins)
		if err != nil {
			f.Fatal(err)
		}
		return r
	}
	for _, twins := range [][]int{nil, {3}} {
		f.Add([]byte(asJSON(record(2, twins))))
	}
	for _, text := range []string{"{}", `{"runs": [{}]}`, `{"runs": [{"accuracy": -1}]}`, `{"runs": [{}, {}], "recipe": {"lr": {}}}`, "[", "null"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		other, err := parseRecord("record.json", text)
		if err != nil {
			wantOneLine(t, err)
			return
		}
		r := record(1, nil)
		if err := r.Add(other); err != nil {
			wantOneLine(t, err)
			return
		}
		if len(r.Runs) != 1+len(other.Runs) || !isFraction(&r.Accuracy.Mean) {
			t.Errorf("%+v", r)
		}
	})
}
