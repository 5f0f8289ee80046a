package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/fmnist-gpu/fmnist-gpu/cpuref"
	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset/datasettest"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/study"
)

// writeFile writes a file and creates its folder.
func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
}

// A wrong command line is refused with a message that names the flag.
func TestCommandLineRefuses(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "run", trainer.ArgsFile), "")
	run := filepath.Join(dir, "run")
	for _, c := range []struct {
		args []string
		say  string
	}{
		{[]string{"trian"}, `unknown command "trian": did you mean fmnist-gpu train?`},
		{[]string{"fly"}, `unknown command "fly"; see fmnist-gpu --help`},
		{[]string{"data", "fetsh"}, `unknown command "fetsh": did you mean fmnist-gpu data fetch?`},
		{[]string{"help", "trian"}, `unknown command "trian": did you mean fmnist-gpu train?`},
		{[]string{"completion", "bsh"}, `unknown command "bsh": did you mean fmnist-gpu completion bash?`},
		{[]string{"--cpu", "train"}, "unknown flag --cpu: flags follow the command, as in fmnist-gpu train --cpu"},
		{[]string{"train", "--epoch", "3"}, "unknown flag --epoch: did you mean --epochs?"},
		{[]string{"train", "--batch_size=3"}, "unknown flag --batch_size: did you mean --batch-size?"},
		{[]string{"train", "-lr", "0.1"}, "unknown flag -lr: did you mean --lr?"},
		{[]string{"train", "-lr=0.1"}, "unknown flag -lr: did you mean --lr?"},
		{[]string{"train", "--colour"}, "unknown flag --colour; see fmnist-gpu train --help"},
		{[]string{"train", "--=3"}, `"--=3" is not a flag`},
		{[]string{"train", "--help=3"}, "--help is 3: want true or false"},
		{[]string{"eval", "nope"}, `eval takes no arguments, but was given "nope": name the checkpoint with --checkpoint nope`},
		{[]string{"train", "main_no_aug"}, "did you mean --preset main_no_aug?"},
		{[]string{"train", "logistic"}, "did you mean --model logistic?"},
		{[]string{"train", "c.yaml"}, "did you mean --config c.yaml?"},
		{[]string{"train", "w.pth"}, "did you mean --init w.pth?"},
		{[]string{"train", run}, "did you mean --resume " + run + "?"},
		{[]string{"bench", "logistic"}, "did you mean --model logistic?"},
		{[]string{"devices", "0"}, `devices takes no arguments, but was given "0"`},
		{[]string{"data", "fetch", "x"}, `fetch takes no arguments, but was given "x"`},
		{[]string{"data", "show", "x"}, `show takes no arguments, but was given "x"`},
		{[]string{"completion", "bash", "x"}, `bash takes no arguments, but was given "x"`},
		{[]string{"report", "a", "b"}, "report takes one argument, but was given 2: name one folder"},
		{[]string{"experiment", "a", "b"}, "experiment takes one argument, but was given 2"},
		{[]string{"experiment", "nope"}, `there is no experiment "nope" and no such file: name a YAML file, or "original"`},
		{[]string{"experiment", dir}, "it is a folder: want a YAML file"},
		{[]string{"experiment", "original", "--epochs", "3"}, "unknown flag --epochs: did you mean --set epochs=VALUE?"},
		{[]string{"experiment", "prepare", "original", "--cpu"}, "unknown flag --cpu; see fmnist-gpu experiment prepare --help"},
		{[]string{"experiment", "original", "--seed", "3"}, "unknown flag --seed: did you mean --seeds?"},
		{[]string{"experiment", "original", "--set", "lr"}, "--set lr: want SETTING=VALUE"},
		{[]string{"experiment", "original", "--set", "epochs=x"}, `--set: epochs is "x": want a whole number`},
		{[]string{"experiment", "original", "--set", "epoch=3"}, `--set: unknown key "epoch": did you mean "epochs"?`},
		{[]string{"experiment", "original", "--set", "lr=1"}, "--set: the experiment original sets lr itself"},
		{[]string{"experiment", "original", "--seeds", "9-0"}, `--seeds is "9-0": want whole numbers and ranges`},
		{[]string{"experiment", "original", "--max-steps", "0.5"}, "--max-steps is 0.5: want a whole number"},
		{[]string{"experiment", "original", "--select-on", "train"}, `--select-on is "train": want val or test`},
		{[]string{"train", "--config", dir}, "it is a folder: want a YAML file"},
		{[]string{"train", "--config", run}, "it is a run's folder: want the file " + filepath.Join(run, trainer.ArgsFile)},
		{[]string{"train", "--config", "/dev/zero"}, "it has more than 1 MiB"},
		{[]string{"train", "--config", ""}, "--config is empty: want a YAML file"},
		{[]string{"train", "--resume", ""}, "--resume is empty: want the folder of a run"},
		{[]string{"train", "--out="}, "--out is empty: want a folder"},
		{[]string{"eval", "--checkpoint="}, "--checkpoint is empty: want a run's folder"},
		{[]string{"train", "--device"}, "--device has no value: want the index, name or UUID of a Vulkan device"},
		{[]string{"train", "--device", "--cpu"}, "--device has no value before --cpu: want the index, name or UUID"},
		{[]string{"train", "--epochs"}, "--epochs has no value: want a whole number from 1"},
		{[]string{"train", "--epochs", "--cpu"}, `--epochs is "--cpu": want a whole number from 1`},
		{[]string{"train", "--epochs", "3.5"}, "--epochs is 3.5: want a whole number"},
		{[]string{"train", "--epochs", "1e1"}, "--epochs is 1e1: want a whole number"},
		{[]string{"train", "--epochs", "1_000"}, `--epochs is "1_000": want a whole number`},
		{[]string{"train", "--epochs", "0x10"}, `--epochs is "0x10": want a whole number`},
		{[]string{"train", "--seed", "18446744073709551616"}, "--seed is 18446744073709551616: want a whole number from 0 to 18446744073709551615"},
		{[]string{"train", "--lr", "abc"}, `--lr is "abc": want a positive number up to 1000, such as 0.001`},
		{[]string{"train", "--lr", "1e8"}, "--lr is 1e8: want a positive number up to 1000"},
		{[]string{"train", "--lr", "1e-50"}, "--lr is 1e-50, which is 0 in 32-bit precision"},
		{[]string{"train", "--momentum", ".9999999999"}, "--momentum is .9999999999, which is 1 in 32-bit precision: want a number from 0 to below 1"},
		{[]string{"train", "--patience", "0.5"}, "--patience is 0.5: want a whole number"},
		{[]string{"train", "--replicas", "0"}, "--replicas is 0: want a whole number from 1"},
		{[]string{"train", "--replicas", "2", "--serve"}, "--serve and --log-format json follow one training"},
		{[]string{"train", "--replicas", "2", "--resume", run}, "--replicas cannot change when a run is resumed"},
		{[]string{"train", "--cpu=yes"}, `--cpu is "yes": want true or false`},
		{[]string{"data", "show", "--count", "0"}, "--count is 0: want a whole number from 1 to 2500"},
		{[]string{"data", "show", "--split", "val"}, `--split is "val": want train or test`},
		{[]string{"data", "fetch", "--mirror", "--mirror"}, "--mirror has no value before --mirror"},
		{[]string{"bench", "--seconds", "nan"}, `--seconds is "nan": want a positive number of seconds`},
		{[]string{"bench", "--rounds", "0"}, "--rounds is 0: want a whole number from 1"},
		{[]string{"bench", "--against", " "}, `--against is " ": want a command`},
		{[]string{"experiment", "original", "--parallel", "x"}, `--parallel is "x": want a whole number`},
		{[]string{"eval", "--threads", "1.5"}, "--threads is 1.5: want a whole number"},
	} {
		root := newRootCommand()
		root.SetArgs(c.args)
		root.SetOut(io.Discard)
		err := root.Execute()
		if exitCode(err) != exitUsage || !strings.Contains(err.Error(), c.say) || strings.Contains(err.Error(), "strconv") {
			t.Errorf("%v: %v, want %q", c.args, err, c.say)
		}
	}
}

// resolved returns the configuration that train's flags lead to.
func resolved(t *testing.T, stdin string, args ...string) (study.Config, error) {
	t.Helper()
	var c study.Config
	var file string
	cmd := &cobra.Command{Use: "train", RunE: func(cmd *cobra.Command, _ []string) error { return resolve(cmd, &c, file) }}
	bind(flagGroup{cmd.Flags(), groupRun}, &file, "config", kindOf("init"), "")
	addTrainFlags(cmd.Flags())
	cmd.SetArgs(args)
	cmd.SetIn(strings.NewReader(stdin))
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	return c, cmd.ExecuteContext(t.Context())
}

// The flags of an experiment override its file, or the original study.
func TestExperimentFlags(t *testing.T) {
	find := func(args ...string) (study.Experiment, error) {
		var f experimentFlags
		var e study.Experiment
		cmd := &cobra.Command{Use: "experiment", SilenceErrors: true, SilenceUsage: true, RunE: func(cmd *cobra.Command, args []string) error {
			overrides, err := f.overrides(cmd.Flags())
			if err == nil {
				e, err = findExperiment(cmd, args[0], overrides)
			}
			return err
		}}
		addExperimentFlags(cmd.Flags(), &f)
		cmd.SetArgs(args)
		cmd.SetIn(strings.NewReader("base: {model: logistic, epochs: 5}\ngrid: {lr: [0.1, 0.2], seed: 0-1}\n"))
		return e, cmd.ExecuteContext(t.Context())
	}
	e, err := find("-", "--seeds", "3-4", "--set", "epochs = 2", "--set", "lr=0.3", "--max-steps", "7", "--select-on", "test", "--precision", "mixed")
	if err != nil || e.Name != "stdin" || len(e.Groups[0].Runs) != 2 {
		t.Fatalf("%+v (%v)", e, err)
	}
	if c := e.Groups[0].Runs[1]; c.Name != "seed4" || c.Seed != 4 || c.Epochs != 2 || c.LR != .3 || c.MaxSteps != 7 || c.SelectOn != "test" || c.Precision != "mixed" {
		t.Errorf("%+v", c)
	}
	if e, err = find("-"); err != nil || len(e.Groups[0].Runs) != 4 || e.Groups[0].Runs[0].SelectOn != "val" {
		t.Errorf("without flags: %+v (%v)", e, err)
	}
	if e, err = find("original", "--seeds", "7", "--set", "epochs=1", "--max-steps", "7"); err != nil || e.Name != "original" || len(e.Groups[0].Runs) != 5 {
		t.Fatalf("%+v (%v)", e, err)
	}
	if c := e.Groups[1].Runs[2]; c.Seed != 7 || c.Epochs != 1 || c.MaxSteps != 7 || c.SelectOn != "test" || c.LR != .0001 {
		t.Errorf("%+v", c)
	}
}

// Numbers are decimal, even with leading zeros.
func TestDecimalFlags(t *testing.T) {
	c, err := resolved(t, "", "--seed", "042", "--epochs", "010", "--batch-size", "08", "--crop", "03", "--lr", "01e-3")
	if err != nil || c.Seed != 42 || c.Epochs != 10 || c.BatchSize != 8 || *c.Crop != 3 || c.LR != .001 {
		t.Errorf("%+v (%v)", c, err)
	}
}

// A preset is applied before the other flags, in any position, and a device given as
// a flag replaces the file's.
func TestResolve(t *testing.T) {
	c, err := resolved(t, "", "--dropout", "0.5", "--preset", "alternative_shallow", "--rotate", "3")
	if err != nil || c.Model != "alternative" || *c.Dropout != .5 || c.Augment != "original" || *c.Rotate != 3 {
		t.Errorf("%+v (%v)", c, err)
	}
	if c, err = resolved(t, "device: 0\nlr: 0.5\n", "--config", "-", "--cpu"); err != nil || !c.CPU || c.Device != "" || c.LR != .5 {
		t.Errorf("--cpu: %+v (%v)", c, err)
	}
	if c, err = resolved(t, "cpu: true\n", "--config", "-", "--device", "0"); err != nil || c.CPU || c.Device != "0" {
		t.Errorf("--device: %+v (%v)", c, err)
	}
	if _, err = resolved(t, "", "--cpu", "--device", "0"); !errors.Is(err, trainer.ErrUsage) {
		t.Errorf("both: %v", err)
	}
	if _, err = resolved(t, "seed: -0.5\n", "--config", "-", "--seed", "3"); !errors.Is(err, trainer.ErrUsage) || !strings.HasPrefix(err.Error(), "stdin: line 1: seed is -0.5") {
		t.Errorf("a wrong value that a flag overrides: %v", err)
	}
}

// A training says how many images each epoch leaves out.
func TestPrune(t *testing.T) {
	letters := t.TempDir()
	writeLetters(t, letters, 260, 52)
	args := []string{"train", "--cpu", "--model", "logistic", "--dataset", letters, "--epochs", "2", "--out", t.TempDir()}
	for _, more := range [][]string{{"--prune", ".4", "--dry-run"}, {"--prune", ".4"}} {
		if text := wantSuccess(t, append(args, more...)...); !strings.Contains(text, "140 of 234 training images") {
			t.Errorf("%v prints\n%s\nwant 140 of 234 training images", more, text)
		}
	}
	wantFailure(t, append(args, "--prune", ".8"), exitUsage, "--prune is .8: want a share from 0 to 0.7")
}

// A dry run refuses what the run would refuse, with the same exit code, and
// leaves nothing.
func TestDryRunRefuses(t *testing.T) {
	datasettest.Full(t)
	out := t.TempDir()
	file := filepath.Join(out, "file")
	writeFile(t, file, "no weights")
	writeFile(t, filepath.Join(out, "taken", trainer.ArgsFile), "")
	for _, c := range []struct {
		args []string
		code int
		say  string
	}{
		{[]string{"--out", filepath.Join(file, "runs")}, exitFailed, file},
		{[]string{"--out", out, "--name", "taken"}, exitUsage, "taken"},
		{[]string{"--out", out, "--init", file}, exitBadFile, file},
		{[]string{"--out", out, "--data-dir", t.TempDir()}, exitBadFile, "data fetch"},
	} {
		args := append([]string{"train", "--dry-run", "--cpu", "--model", "logistic"}, c.args...)
		wantFailure(t, args, c.code, c.say)
		wantFailure(t, append([]string{"train"}, args[2:]...), c.code, c.say)
	}
	wantFailure(t, []string{"train", "--dry-run", "--device", "99"}, exitNoDevice)
	for _, tier := range cpuref.Tiers() {
		if slices.Contains([]string{"sse", "avx2", "neon"}, tier) {
			t.Setenv(tierEnvironment, tier)
			wantFailure(t, []string{"train", "--dry-run", "--cpu", "--precision", "mixed"}, exitUsage, tier, "--precision fp32")
		}
	}
	if left, err := os.ReadDir(out); err != nil || len(left) != 2 {
		t.Errorf("%v (%v) left", left, err)
	}
}
