package main

import (
	"bytes"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/study"
)

// eachCommand calls f for the command and all its subcommands, with the words that
// follow the program's name.
func eachCommand(c *cobra.Command, words []string, f func(c *cobra.Command, words []string)) {
	f(c, words)
	for _, sub := range c.Commands() {
		eachCommand(sub, append(slices.Clone(words), sub.Name()), f)
	}
}

// Every command's help fits 80 columns, has an example, and describes every flag,
// under a heading that says its purpose (except --help and --version).
func TestHelp(t *testing.T) {
	seen := 0
	eachCommand(newRootCommand(), nil, func(_ *cobra.Command, words []string) {
		root := newRootCommand()
		var out bytes.Buffer
		root.SetOut(&out)
		root.SetArgs(append(slices.Clone(words), "--help"))
		c, err := root.ExecuteC()
		if err != nil {
			t.Fatalf("%v: %v", words, err)
		}
		seen++
		for line := range strings.Lines(out.String()) {
			if n := utf8.RuneCountInString(strings.ReplaceAll(strings.TrimRight(line, "\n"), "\t", "        ")); n > helpWidth {
				t.Errorf("%v: %d columns: %s", words, n, line)
			}
		}
		if !strings.Contains(out.String(), "\nExamples:\n  ") {
			t.Errorf("%v has no example:\n%s", words, out.String())
		}
		if c.Short == "" {
			t.Errorf("%v has no short description", words)
		}
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if !strings.Contains(out.String(), "--"+f.Name) || f.Usage == "" {
				t.Errorf("%v does not describe --%s", words, f.Name)
			}
			if _, ours := f.Value.(*checkedFlag); ours != (len(f.Annotations[groupKey]) == 1) {
				t.Errorf("%v: --%s has the headings %v", words, f.Name, f.Annotations[groupKey])
			}
		})
	})
	if seen < 15 {
		t.Errorf("only %d commands", seen)
	}
}

// The help of a flag with a fixed set of values lists them all.
func TestHelpShowsChoices(t *testing.T) {
	stdout, _, _ := run(t, "train", "--help")
	for _, s := range study.Settings() {
		if !strings.Contains(stdout, "--"+s.Name) {
			t.Errorf("no flag for the setting %s", s.Name)
		}
		for _, v := range s.Values {
			if s.Values[0] != "true" && !strings.Contains(stdout, v) {
				t.Errorf("--%s does not show %s", s.Name, v)
			}
		}
	}
	for _, heading := range []string{"Run", "Model", "Data", "Optimisation", "Augmentation", "Device", "Output", "General"} {
		if strings.Count(stdout, "\n"+heading+":\n") != 1 {
			t.Errorf("the heading %s is not there once", heading)
		}
	}
}

// The shell completes the values that a flag accepts.
func TestCompletion(t *testing.T) {
	out := t.TempDir()
	finished := filepath.Join(out, "finished")
	writeFile(t, filepath.Join(finished, trainer.ArgsFile), "")
	writeFile(t, filepath.Join(out, "rates.yaml"), "")
	for _, c := range []struct {
		args []string
		want []string
	}{
		{[]string{"train", "--model", ""}, []string{"fashioncnn", "alternative", "logistic", "resnet20"}},
		{[]string{"train", "--preset", ""}, []string{"main_no_aug", "baseline_logistic"}},
		{[]string{"train", "--optimizer", ""}, []string{"adam", "sgd"}},
		{[]string{"train", "--scheduler", ""}, []string{"plateau", "onecycle"}},
		{[]string{"train", "--augment", ""}, []string{"original", "light"}},
		{[]string{"train", "--flip", ""}, []string{"alternating"}},
		{[]string{"train", "--select-on", ""}, []string{"val", "test"}},
		{[]string{"bench", "--precision", ""}, []string{"fp32", "mixed"}},
		{[]string{"data", "show", "--split", ""}, []string{"train", "test"}},
		{[]string{"train", "--device", ""}, nil},
		{[]string{"train", "--config", ""}, []string{"yaml", ":8"}},
		{[]string{"train", "--resume", out + "/"}, []string{finished}},
		{[]string{"eval", "--checkpoint", out + "/fin"}, []string{finished}},
		{[]string{"eval", "--checkpoint", out + "/none"}, []string{"safetensors", ":8"}},
		{[]string{"compare", out + "/"}, []string{finished}},
		{[]string{"report", out + "/"}, []string{finished}},
		{[]string{"train", "--out", ""}, []string{":16"}},
		{[]string{"experiment", out + "/"}, []string{"original", filepath.Join(out, "rates.yaml")}},
		{[]string{"experiment", "--set", "l"}, []string{"lr="}},
		{[]string{"experiment", "--set", "optimizer="}, []string{"optimizer=sgd"}},
		{[]string{"help", ""}, []string{"train", "eval"}},
	} {
		stdout, stderr, code := run(t, append([]string{cobra.ShellCompNoDescRequestCmd}, c.args...)...)
		lines := strings.Split(stdout, "\n")
		if code != 0 || strings.Contains(stderr, "Error") {
			t.Errorf("%v: exit code %d, %s", c.args, code, stderr)
		}
		for _, w := range c.want {
			if !slices.Contains(lines, w) {
				t.Errorf("%v: no %s in %q", c.args, w, lines)
			}
		}
	}
}
