package main

import (
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
	"github.com/fmnist-gpu/fmnist-gpu/trainer/report"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/setting"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/study"
)

// experimentFlags are the values of the command's flags.
type experimentFlags struct {
	set        []string // "setting=value"
	device     deviceFlags
	devices    []string // selectors, in place of device.selector
	parallel   int
	replicas   int
	out        string
	dataDir    string
	noProgress bool
	asJSON     bool
	executor   string
	slurm      slurmFlags
	kubernetes kubernetesFlags
}

func newExperimentCommand() *cobra.Command {
	f := experimentFlags{replicas: 1, executor: executorLocal}
	c := &cobra.Command{
		Use:   "experiment original|FILE.yaml",
		Short: "Run a set of trainings and compare them",
		Long: `Run a set of trainings, each in its own folder, compare them and write one report.
"original" repeats the original study: its five trainings and its learning rates.
A YAML file gives the settings that all runs share (base) and lists of values
(grid), with one run for each combination. Seeds can be ranges, and models the
files of networks, relative to this file (a dataset's folder is relative to the
current one):

    base: {epochs: 5}
    grid:
      model: [fashioncnn, mynet.yaml]
      lr: [0.01, 0.001]
      seed: 0-9

A list of variants tells what each part of a recipe gains. A variant changes some
settings of base, or none, and is combined with the grid if there is one; its name,
if it has one, begins its runs' names:

    base: {preset: fast, select-on: val, no-eval: false, seed: 0-4}
    variants:
      - {}
      - {label-smoothing: 0}
      - {name: sgd, optimizer: sgd, lr: 0.1, weight-decay: 0.0005}

The flags under "Experiment" override the same settings of the file, wherever it
has them: for example, --seeds 0-4 or --set epochs=2.

Several trainings run at a time: one per --device or, on the CPU, one per core, at
most 16 (cores that train separately are faster than cores that share a training).
The last ones to train share the cores of those that have ended.
With --replicas K, a device trains up to K runs that differ only in the seed at once,
each as it would train alone: small networks leave most of a GPU idle.
The results do not depend on this. If an experiment is interrupted or killed, the
same command resumes it; finished runs are not repeated.

With --executor slurm, each training is a task of a Slurm job array; --parallel is the
most that run at a time. Slurm ends trainings for many reasons (a lost node, preemption,
the time limit): they are submitted again and continue from their last checkpoint. One
that fails by itself is not. Without --sbatch time=…, one training of each network tells,
by its first epoch, how long to ask for. After Ctrl-C the trainings go on: the same
command follows them again, and "experiment cancel" ends them. All nodes must see this
program, the folder and the dataset under the same paths.

With --executor kubernetes, nothing is trained yet: the trainings become jobs in the
folder, beside the manifest of an Indexed Job that does one in each Pod. The output says
how to start it with kubectl. --parallel is the most that run at a time, 100 by
default. Pods see the volume at /volume, so --data-dir can be a folder there;
without it, the image must hold the dataset.`,
		Example: `  fmnist-gpu experiment original
  fmnist-gpu experiment original --seeds 42-46 --cpu
  fmnist-gpu experiment original --device 0 --device 1 --parallel 4
  fmnist-gpu experiment original --seeds 42-57 --replicas 16
  fmnist-gpu experiment rates.yaml --out runs/rates
  fmnist-gpu experiment rates.yaml --executor slurm --sbatch partition=gpu
  fmnist-gpu experiment rates.yaml --executor kubernetes --claim studies:rates \
    --image registry.example.org/fmnist-gpu:v1 --out /mnt/studies/rates
  fmnist-gpu experiment rates.yaml --seeds 0-1 --set epochs=1 --max-steps 100`,
		Args:              oneArgument(`one experiment: "original" or a YAML file`),
		ValidArgsFunction: completeExperiments,
		RunE: func(c *cobra.Command, args []string) error {
			if err := refuseOthers(c.Flags(), f.executor); err != nil {
				return err
			}
			e, err := f.experiment(c, args[0])
			if err != nil {
				return err
			}
			switch f.executor {
			case executorSlurm:
				return runOnSlurm(c, f, e)
			case executorKubernetes:
				return writeManifest(c, f, e)
			}
			return runExperiment(c, f, e)
		},
	}
	addExperimentFlags(c.Flags(), &f)
	bind(flagGroup{c.Flags(), groupExperiment}, &f.executor, "executor", setting.Choice(executorLocal, executorSlurm, executorKubernetes), "where to train: local (this machine), slurm or kubernetes")
	addSlurmFlags(c.Flags(), &f.slurm)
	addKubernetesFlags(c.Flags(), &f.kubernetes)
	addWorkerFlags(c.Flags(), &f, "the comparison")
	bindReplicas(flagGroup{c.Flags(), groupDevice}, &f.replicas, "trainings that differ only in the seed")
	c.AddCommand(newPrepareCommand(), newRunJobCommand(), newStatusCommand(), newCollectCommand(), newCancelCommand())
	return c
}

// refuseOthers refuses flags that are for another executor.
func refuseOthers(flags *pflag.FlagSet, executor string) error {
	var wrong error
	flags.Visit(func(f *pflag.Flag) {
		for _, title := range f.Annotations[groupKey] {
			if of := map[string]string{groupSlurm: executorSlurm, groupKubernetes: executorKubernetes}[title]; of != "" && of != executor {
				wrong = &commandLineError{fmt.Sprintf("--%s is for --executor %s", f.Name, of)}
			}
		}
	})
	return wrong
}

// groupExperiment is the heading of the flags that say which trainings.
const groupExperiment = "Experiment"

func addExperimentFlags(flags *pflag.FlagSet, f *experimentFlags) {
	g := flagGroup{flags, groupExperiment}
	g.add(&checkedFlag{name: "seeds", kind: setting.Seeds(), store: func(any) {}}, "seeds of the runs, such as 42,43 or 0-9 (default for original: 42)")
	g.settingDefault("select-on", "", selectOnUsage+" (default for original: test)")
	g.settingDefault("precision", "", precisionUsage)
	g.settingDefault("max-steps", "", maxStepsUsage)
	bindEach(g, &f.set, "set", setting.Text("SETTING=VALUE", "SETTING=VALUE, such as lr=0.01"), "override a setting in all runs; may be repeated")
}

// addWorkerFlags adds the flags that say where many runs are trained, and where their
// folders and what they show is written.
func addWorkerFlags(flags *pflag.FlagSet, f *experimentFlags, shown string) {
	bind(flagGroup{flags, groupData}, &f.dataDir, "data-dir", kindOf("data-dir"), dataDirUsage)
	g := flagGroup{flags, groupDevice}
	bindEach(g, &f.devices, "device", kindOf("device"), deviceUsage+"; may be repeated")
	addBackendFlags(g, &f.device)
	bind(g, &f.parallel, "parallel", setting.Whole(0, maxThreads), "trainings at a time; 0 means one per device or, on the CPU, one per core")
	g = flagGroup{flags, groupOutput}
	bind(g, &f.out, "out", kindOf("out"), outUsage)
	bind(g, &f.asJSON, "json", setting.Bool(), "print "+shown+" as JSON, and everything else to standard error")
	bind(g, &f.noProgress, "no-progress", setting.Bool(), noProgressUsage)
}

const outUsage = "folder in which to create the runs' folders (default: runs/NAME)"

// experiment returns the experiment that is named, with its settings overridden, and
// chooses its folder.
func (f *experimentFlags) experiment(c *cobra.Command, name string) (study.Experiment, error) {
	overrides, err := f.overrides(c.Flags())
	if err != nil {
		return study.Experiment{}, err
	}
	e, err := findExperiment(c, name, overrides)
	if err != nil {
		return e, err
	}
	if f.out == "" {
		f.out = filepath.Join("runs", e.Name)
	}
	if err := checkInFolder(f.out, name, study.ExperimentFile, study.RunsFile, manifestFile); err != nil {
		return e, err
	}
	return e, f.checkOutside(e)
}

// checkOutside refuses a folder of runs in the dataset of one of them.
func (f *experimentFlags) checkOutside(e study.Experiment) error {
	checked := map[string]bool{}
	for _, g := range e.Groups {
		for _, c := range g.Runs {
			if checked[c.Dataset] {
				continue
			}
			checked[c.Dataset] = true
			if err := checkOutside("out", f.out, c.Dataset); err != nil {
				return err
			}
		}
	}
	return nil
}

// overrides returns the settings that override the experiment's own.
func (f experimentFlags) overrides(flags *pflag.FlagSet) ([]setting.Assignment, error) {
	var list []setting.Assignment
	for _, text := range f.set {
		name, value, ok := strings.Cut(text, "=")
		if !ok {
			return nil, &commandLineError{fmt.Sprintf("--set %s: want SETTING=VALUE, such as lr=0.01", text)}
		}
		list = append(list, setting.Assignment{Name: strings.TrimSpace(name), Value: strings.TrimSpace(value), Source: "--set"})
	}
	if seeds := flags.Lookup("seeds"); seeds.Changed {
		list = append(list, setting.Assignment{Name: "seed", Value: seeds.Value.String(), Source: "--seeds"})
	}
	return append(list, assignments(flags)...), nil
}

// originalName names the experiment that is built in.
const originalName = "original"

// findExperiment returns the experiment with that name or in that file.
func findExperiment(c *cobra.Command, name string, overrides []setting.Assignment) (study.Experiment, error) {
	if name == originalName {
		return study.OriginalExperiment(overrides...)
	}
	if _, err := os.Stat(name); name != "-" && errors.Is(err, fs.ErrNotExist) {
		text := fmt.Sprintf("there is no experiment %q and no such file: name a YAML file, or %q for the built-in study", name, originalName)
		return study.Experiment{}, &commandLineError{text}
	}
	text, err := readInput(c, name)
	if err != nil {
		return study.Experiment{}, err
	}
	return study.ParseExperiment(inputName(name), text, overrides...)
}

// runExperiment trains the runs that are not finished, and compares all runs.
func runExperiment(cmd *cobra.Command, f experimentFlags, e study.Experiment) error {
	if err := study.MakeOut(f.out); err != nil {
		return err
	}
	defer os.Remove(f.out) // does nothing if it is not empty
	unlock, err := trainer.LockFolder(f.out, "experiment")
	if err != nil {
		return err
	}
	defer unlock()
	if err := e.CheckIndex(f.out, version()); err != nil {
		return err
	}
	log := cmd.OutOrStdout()
	if f.asJSON {
		log = cmd.ErrOrStderr()
	}
	begun := time.Now()
	trained := trainAll(cmd, log, f, e)
	if errors.Is(trained, trainer.ErrInterrupted) {
		printInterrupted(cmd, "run the same command to resume")
	}
	if trained != nil && !errors.Is(trained, trainer.ErrDiverged) {
		return trained
	}
	return errors.Join(trained, finishExperiment(cmd, log, f, begun))
}

// finishExperiment completes the finished runs of the experiment, which began at a time,
// compares them, and says where the report is.
func finishExperiment(cmd *cobra.Command, log io.Writer, f experimentFlags, begun time.Time) error {
	groups, err := study.ReadGroups([]string{f.out})
	if err != nil {
		return err
	}
	if err := completeRuns(groups); err != nil {
		return err
	}
	path, err := concludeExperiment(cmd, log, f.out, groups, f.asJSON)
	if path != "" {
		fmt.Fprintf(log, "\n%.1f s in total; report: %s\n", time.Since(begun).Seconds(), path)
	}
	return err
}

// concludeExperiment compares an experiment's finished runs, writes its files and prints
// the comparison. It returns the report's path, unless that could not be written.
func concludeExperiment(cmd *cobra.Command, log io.Writer, dir string, groups []study.RunGroup, asJSON bool) (string, error) {
	if err := study.WriteRuns(dir, groups); err != nil {
		return "", err
	}
	comparisons, err := study.CompareGroups(groups)
	if err != nil {
		return "", err
	}
	path, err := report.WriteGroups(dir, "", groups, comparisons)
	if err != nil {
		return "", err
	}
	if asJSON {
		return path, printJSON(cmd.OutOrStdout(), map[string]any{"groups": comparisons})
	}
	fmt.Fprintln(log)
	return path, printComparisons(log, comparisons, true)
}

// trainAll trains the runs that are not finished. It lists them in the folder once
// nothing stands in the way of training them.
func trainAll(cmd *cobra.Command, log io.Writer, f experimentFlags, e study.Experiment) (err error) {
	total, left, err := e.Count(f.out)
	if err != nil {
		return err
	}
	if left == 0 {
		fmt.Fprintln(log, "every run was already finished")
		return e.WriteIndex(f.out, version())
	}
	config := e.Groups[0].Runs[0]
	config.DataDir, config.NoProgress = f.dataDir, f.noProgress
	data, err := loadDataset(cmd, log, config)
	if err != nil {
		return movedFrom("the experiment", "name it with --set dataset=PATH", err)
	}
	if err := e.Fit(data.Info); err != nil {
		return err
	}
	devices, err := openWorkers(f, e.Precision(), left)
	if err != nil {
		return err
	}
	defer func() { err = closeAll(devices, err) }()
	if err := e.WriteIndex(f.out, version()); err != nil {
		return err
	}
	r := study.Runner{Dir: f.out, Data: data, Replicas: replicasOn(devices, f.replicas)}
	w := &trainingWriter{screen: newScreen(log, cmd.ErrOrStderr(), !f.noProgress), total: total, together: len(devices) > 1 || r.Replicas > 1}
	defer w.screen.close()
	announceAll(w.screen, devices, r.Replicas)
	r.Begin = w.begin
	for i, d := range devices {
		r.Workers = append(r.Workers, study.Worker{Backend: d.Backend, Environment: d.environment, Place: func(c *study.Config) { f.place(c, i) }})
	}
	err = fewerReplicas(r.Train(cmd.Context(), e), useReplicas)
	if errors.As(err, new(*trainer.LockedError)) { // not wrong usage: all others are trained
		err = errors.New(oneLine(err))
	}
	return err
}

// place sets how and where a worker's runs run.
func (f experimentFlags) place(c *study.Config, worker int) {
	c.DataDir, c.NoProgress = f.dataDir, f.noProgress
	c.CPU, c.Threads, c.Validate = f.device.cpu, f.device.threads, f.device.validate
	if len(f.devices) > 0 {
		c.Device = f.devices[worker%len(f.devices)]
	}
}

// announceAll prints each device once, and how many trainings run at a time.
func announceAll(w io.Writer, workers []*device, replicas int) {
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
	switch n := len(workers) * replicas; {
	case replicas > 1:
		fmt.Fprintf(w, "up to %d trainings at a time\n", n)
	case n > 1:
		fmt.Fprintf(w, "%d trainings at a time\n", n)
	default:
		fmt.Fprintln(w, "one training at a time")
	}
}

// maxOnCPU is the most trainings that the CPU runs at a time by default: each
// takes some 170 MB.
const maxOnCPU = 16

// openWorkers opens a backend for each concurrent training, at most one per run:
// the devices asked for in turn, or the CPU, whose threads the trainings share.
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
			n = min(first.environment.Threads, maxOnCPU)
		}
		flags.cpu, selectors = true, []string{""}
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

// closeAll closes devices and returns an error as closeDevice does.
func closeAll(devices []*device, err error) error {
	for _, d := range devices {
		err = closeDevice(d, err)
	}
	return err
}

// completeRuns tidies the folders of finished runs, and writes the reports of those
// that were killed before they could.
func completeRuns(groups []study.RunGroup) error {
	if err := study.Tidy(groups); err != nil {
		return err
	}
	for _, g := range groups {
		for _, r := range g.Runs {
			if err := completeReport(r.Dir); err != nil {
				return err
			}
		}
	}
	return nil
}

// trainingWriter prints the lines of trainings, which may run concurrently.
type trainingWriter struct {
	screen   *screen
	lock     sync.Mutex
	total    int
	begun    int
	together bool // several run at a time: lines and bars name their training
}

// begin prints that a run begins, and returns its progress and what to do at its end.
func (w *trainingWriter) begin(c study.Config, dir string, found trainer.RunState) (trainer.Progress, func(*trainer.Result) error) {
	p := w.announce(c, dir, found)
	return p, func(r *trainer.Result) error {
		p.end()
		switch {
		case found == trainer.RunFinished:
			err := completeRun(dir)
			if errors.As(err, new(*trainer.LockedError)) { // whoever trained it has not ended yet
				return nil
			}
			return err
		case r == nil:
			return nil
		}
		printAccuracy(p.out, c, r)
		_, err := report.Write(dir, "")
		return err
	}
}

// announce prints that a run begins, and returns its progress.
func (w *trainingWriter) announce(c study.Config, dir string, found trainer.RunState) *progress {
	state := map[trainer.RunState]string{trainer.RunFinished: ": already finished", trainer.RunInProgress: ": resumed"}[found]
	w.lock.Lock()
	defer w.lock.Unlock()
	w.begun++
	if !c.Quiet {
		fmt.Fprintf(w.screen, "\n[%d of %d] %s%s\n", w.begun, w.total, c.Name, state)
	}
	p := &progress{screen: w.screen, out: w.screen, config: c, dir: dir}
	if w.together {
		p.name, p.out = c.Name, &prefixWriter{w, c.Name + ": "}
	}
	return p
}

// prefixWriter puts a prefix before each line; every Write is one line.
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
