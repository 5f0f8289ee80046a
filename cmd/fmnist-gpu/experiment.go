package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/report"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/setting"
)

// experimentFlags are the values of the command's flags.
type experimentFlags struct {
	set        []string // "setting=value"
	device     deviceFlags
	devices    []string // selectors, in place of device.selector
	parallel   int
	out        string
	dataDir    string
	noProgress bool
	asJSON     bool
}

func newExperimentCommand() *cobra.Command {
	var f experimentFlags
	c := &cobra.Command{
		Use:   "experiment original|FILE.yaml",
		Short: "Run a set of trainings over seeds, and compare them",
		Long: `Run a set of trainings, each in a folder of its own, compare them and write one
report. "original" is the original study: its five trainings and its learning
rates. A YAML file has settings that all runs share, and lists of values whose
combinations are the runs; seeds can be ranges:

    base: {preset: main_no_aug, epochs: 5}
    grid:
      lr: [0.01, 0.001]
      seed: 0-9

Flags of the section Experiment replace what the file says of their settings, in
base and grid: --seeds 0-4 takes other seeds, --set epochs=2 other epochs.

Several trainings run at a time: one on each --device or, on the CPU, one on each
core, at most 16 (a core trains more images by itself than as one of several that
share a training). No run's result depends on that. If an experiment is
interrupted or killed, the same command continues it; finished runs are never
repeated.`,
		Example: `  fmnist-gpu experiment original
  fmnist-gpu experiment original --seeds 42-46 --cpu
  fmnist-gpu experiment original --device 0 --device 1 --parallel 4
  fmnist-gpu experiment rates.yaml --out runs/rates
  fmnist-gpu experiment rates.yaml --seeds 0-1 --set epochs=1 --max-steps 100`,
		Args:              oneArgument(`one experiment: "original" or a YAML file`),
		ValidArgsFunction: completeExperiments,
		RunE: func(c *cobra.Command, args []string) error {
			overrides, err := f.overrides(c.Flags())
			if err != nil {
				return err
			}
			e, err := findExperiment(c, args[0], overrides)
			if err != nil {
				return err
			}
			if f.out == "" {
				f.out = filepath.Join("runs", e.Name)
			}
			return runExperiment(c, f, e)
		},
	}
	addExperimentFlags(c.Flags(), &f)
	return c
}

func addExperimentFlags(flags *pflag.FlagSet, f *experimentFlags) {
	g := flagGroup{flags, "Experiment"}
	g.add(&checkedFlag{name: "seeds", kind: setting.Seeds(), store: func(any) {}}, "seeds of the runs, such as 42,43 or 0-9 (default for original: 42)")
	g.settingDefault("select-on", "", "images that select the best epoch: val or test (default for original: test)")
	g.settingDefault("precision", "", precisionUsage)
	g.settingDefault("max-steps", "", "stop each run after N optimiser steps")
	bindEach(g, &f.set, "set", setting.Text("SETTING=VALUE", "SETTING=VALUE, such as lr=0.01"), "replace a setting of all runs; may be repeated")
	bind(flagGroup{flags, groupData}, &f.dataDir, "data-dir", kindOf("data-dir"), dataDirUsage)
	g = flagGroup{flags, groupDevice}
	bindEach(g, &f.devices, "device", kindOf("device"), deviceUsage+"; may be repeated")
	addBackendFlags(g, &f.device)
	bind(g, &f.parallel, "parallel", setting.Whole(0, maxThreads), "trainings at a time; 0 for one on each device or, on the CPU, one on each core")
	g = flagGroup{flags, groupOutput}
	bind(g, &f.out, "out", kindOf("out"), "folder of the runs' folders (default: runs/NAME)")
	bind(g, &f.asJSON, "json", setting.Bool(), "print the comparison as JSON, and everything else to standard error")
	bind(g, &f.noProgress, "no-progress", setting.Bool(), noProgressUsage)
}

// overrides returns the settings that replace those of the experiment.
func (f experimentFlags) overrides(flags *pflag.FlagSet) ([]trainer.Assignment, error) {
	var list []trainer.Assignment
	for _, text := range f.set {
		name, value, ok := strings.Cut(text, "=")
		if !ok {
			return nil, &commandLineError{fmt.Sprintf("--set %s: want SETTING=VALUE, such as lr=0.01", text)}
		}
		list = append(list, trainer.Assignment{Name: strings.TrimSpace(name), Value: strings.TrimSpace(value), Source: "--set"})
	}
	if seeds := flags.Lookup("seeds"); seeds.Changed {
		list = append(list, trainer.Assignment{Name: "seed", Value: seeds.Value.String(), Source: "--seeds"})
	}
	return append(list, assignments(flags)...), nil
}

// originalName names the experiment that is built in.
const originalName = "original"

// findExperiment returns the experiment of that name, or of that file.
func findExperiment(c *cobra.Command, name string, overrides []trainer.Assignment) (trainer.Experiment, error) {
	if name == originalName {
		return trainer.OriginalExperiment(overrides...)
	}
	if _, err := os.Stat(name); name != "-" && errors.Is(err, fs.ErrNotExist) {
		text := fmt.Sprintf("there is no experiment %q and no such file: name a YAML file, or %q for the built-in study", name, originalName)
		return trainer.Experiment{}, &commandLineError{text}
	}
	text, err := readInput(c, name)
	if err != nil {
		return trainer.Experiment{}, err
	}
	return trainer.ParseExperiment(inputName(name), text, overrides...)
}

// runExperiment does what is left of an experiment, and compares its runs.
func runExperiment(cmd *cobra.Command, f experimentFlags, e trainer.Experiment) error {
	if err := os.MkdirAll(f.out, 0o777); err != nil {
		return err
	}
	unlock, err := trainer.LockFolder(f.out, "experiment")
	if err != nil {
		return err
	}
	defer unlock()
	if err := e.WriteIndex(f.out); err != nil {
		return err
	}
	log := cmd.OutOrStdout()
	if f.asJSON {
		log = cmd.ErrOrStderr()
	}
	begun := time.Now()
	trained := trainAll(cmd, log, f, e)
	if errors.Is(trained, trainer.ErrInterrupted) {
		printInterrupted(cmd, "the same command goes on from here")
	}
	if trained != nil && !errors.Is(trained, trainer.ErrDiverged) {
		return trained
	}
	groups, err := trainer.ReadGroups([]string{f.out})
	if err != nil {
		return errors.Join(trained, err)
	}
	if err := completeRuns(groups); err != nil {
		return err
	}
	if err := trainer.WriteRuns(f.out, groups); err != nil {
		return err
	}
	comparisons, err := trainer.CompareGroups(groups)
	if err != nil {
		return err
	}
	path, err := report.Write(f.out, "")
	if err != nil {
		return err
	}
	if f.asJSON {
		err = printJSON(cmd.OutOrStdout(), map[string]any{"groups": comparisons})
	} else {
		fmt.Fprintln(log)
		err = printComparisons(log, comparisons, true)
	}
	fmt.Fprintf(log, "\n%.1f s in all; report: %s\n", time.Since(begun).Seconds(), path)
	return errors.Join(trained, err)
}

// trainAll trains what is left of the runs.
func trainAll(cmd *cobra.Command, log io.Writer, f experimentFlags, e trainer.Experiment) (err error) {
	total, left, err := countRuns(f.out, e)
	if err != nil {
		return err
	}
	if left == 0 {
		fmt.Fprintf(log, "all %d runs were finished before\n", total)
		return nil
	}
	data, err := loadData(f.dataDir)
	if err != nil {
		return err
	}
	workers, err := openWorkers(f, precisionOf(e), left)
	if err != nil {
		return err
	}
	defer func() { err = closeAll(workers, err) }()
	w := &trainingWriter{screen: newScreen(log, cmd.ErrOrStderr(), !f.noProgress), total: total, together: len(workers) > 1}
	defer w.screen.close()
	announceAll(w.screen, workers)
	return e.Each(cmd.Context(), len(workers), func(ctx context.Context, worker int, c trainer.Config) error {
		c.Out, c.DataDir, c.NoProgress = f.out, f.dataDir, f.noProgress
		c.CPU, c.Threads, c.Validate = f.device.cpu, f.device.threads, f.device.validate
		if len(f.devices) > 0 {
			c.Device = f.devices[worker%len(f.devices)]
		}
		return trainOne(ctx, w, workers[worker], data, c)
	})
}

// announceAll prints each device once, and how many trainings run at a time.
func announceAll(w io.Writer, workers []*device) {
	printed := map[string]bool{}
	for _, d := range workers {
		if line := d.announce(); !printed[line] {
			printed[line] = true
			fmt.Fprintln(w, line)
		}
		if len(workers) > 1 {
			d.environment.Together = len(workers)
		}
	}
	if n := len(workers); n > 1 {
		fmt.Fprintf(w, "%d trainings at a time\n", n)
	} else {
		fmt.Fprintln(w, "one training at a time")
	}
}

// countRuns counts the runs of an experiment, and those that are not finished.
// A folder that holds another training is an error.
func countRuns(out string, e trainer.Experiment) (total, left int, err error) {
	for _, g := range e.Groups {
		for _, c := range g.Runs {
			dir := filepath.Join(out, c.Name)
			state, err := trainer.StateOfRun(dir)
			if err == nil && (state == trainer.RunFinished || state == trainer.RunInProgress) {
				err = trainer.CheckRun(dir, c)
			}
			if err != nil {
				return 0, 0, err
			}
			if total++; state != trainer.RunFinished {
				left++
			}
		}
	}
	return total, left, nil
}

// precisionOf returns what the device must have for all runs.
func precisionOf(e trainer.Experiment) kernels.Precision {
	for _, g := range e.Groups {
		for _, c := range g.Runs {
			if c.Precision == kernels.Mixed.String() {
				return kernels.Mixed
			}
		}
	}
	return kernels.FP32
}

// maxReplicas bounds the trainings at a time that the CPU has by default: each
// takes some 170 MB.
const maxReplicas = 16

// openWorkers opens a backend for each of at most runs trainings at a time: in
// turn the devices asked for, or the CPU with a share of its threads for each.
func openWorkers(f experimentFlags, precision kernels.Precision, runs int) ([]*device, error) {
	selectors := f.devices
	if len(selectors) == 0 {
		selectors = []string{""}
	}
	flags := f.device
	flags.selector, flags.precision = selectors[0], precision
	first, err := openDevice(flags)
	if err != nil {
		return nil, err
	}
	workers, n := []*device{first}, f.parallel
	if first.environment.Backend == "cpu" {
		if n == 0 {
			n = min(first.environment.Threads, maxReplicas)
		}
		if n = min(n, runs); n == 1 {
			return workers, nil
		}
		if err := closeDevice(first, nil); err != nil {
			return nil, err
		}
		workers = nil
		flags.cpu, flags.threads = true, max(1, first.environment.Threads/n)
	} else {
		if n == 0 {
			n = len(selectors)
		}
		if selectors[0] == "" { // all on the one that was found
			selectors[0] = first.selector
		}
	}
	for len(workers) < min(n, runs) {
		flags.selector = selectors[len(workers)%len(selectors)]
		d, err := openDevice(flags)
		if err != nil {
			return nil, closeAll(workers, err)
		}
		d.why = first.why
		workers = append(workers, d)
	}
	return workers, nil
}

// closeAll closes devices after something that ended with err.
func closeAll(devices []*device, err error) error {
	for _, d := range devices {
		err = closeDevice(d, err)
	}
	return err
}

// trainOne trains one run, or what is left of it.
func trainOne(ctx context.Context, w *trainingWriter, d *device, data *dataset.Dataset, c trainer.Config) error {
	dir := filepath.Join(c.Out, c.Name)
	state, err := trainer.StateOfRun(dir)
	if err != nil {
		return err
	}
	p := w.begin(c, dir, map[trainer.RunState]string{trainer.RunFinished: "finished before", trainer.RunInProgress: "goes on"}[state])
	if state == trainer.RunFinished {
		return nil
	}
	// Many runs' checkpoints are much to keep for what nobody resumes.
	result, err := runTraining(ctx, p, d, data, trainer.Options{Dir: dir, Resume: state != trainer.RunNew, DropCheckpoint: true})
	if result != nil {
		printAccuracy(p.out, c, result)
	}
	return err
}

// completeRuns does what is left of finished runs that were killed in the last
// moment.
func completeRuns(groups []trainer.RunGroup) error {
	for _, g := range groups {
		for _, r := range g.Runs {
			if err := errors.Join(trainer.TidyRun(r.Dir), trainer.DropCheckpoint(r.Dir), completeReport(r.Dir)); err != nil {
				return err
			}
		}
	}
	return nil
}

// trainingWriter prints the lines of several trainings, which may come
// together.
type trainingWriter struct {
	screen   *screen
	lock     sync.Mutex
	total    int
	begun    int
	together bool // each line and each bar says whose it is
}

// begin prints that a run begins and returns what prints how it goes.
func (w *trainingWriter) begin(c trainer.Config, dir, state string) *progress {
	w.lock.Lock()
	defer w.lock.Unlock()
	w.begun++
	if state != "" {
		state = ": " + state
	}
	fmt.Fprintf(w.screen, "\n[%d of %d] %s%s\n", w.begun, w.total, c.Name, state)
	p := &progress{screen: w.screen, out: w.screen, config: c, dir: dir}
	if w.together {
		p.name, p.out = c.Name, &prefixWriter{w, c.Name + ": "}
	}
	return p
}

// prefixWriter puts a prefix before what is printed, a line in every call.
type prefixWriter struct {
	*trainingWriter
	prefix string
}

// Write implements [io.Writer].
func (w *prefixWriter) Write(line []byte) (int, error) {
	w.lock.Lock()
	defer w.lock.Unlock()
	if _, err := w.screen.Write(append([]byte(w.prefix), line...)); err != nil {
		return 0, err
	}
	return len(line), nil
}
