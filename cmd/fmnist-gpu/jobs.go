package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/dustin/go-humanize/english"
	"github.com/spf13/cobra"

	"github.com/fmnist-gpu/fmnist-gpu/gpu"
	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/setting"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/study"
)

func newPrepareCommand() *cobra.Command {
	f := experimentFlags{}
	c := &cobra.Command{
		Use:   "prepare original|FILE.yaml",
		Short: "Describe an experiment's trainings as jobs, and train none",
		Long: `Write an experiment's folder with a description of each training, a job, and train
none. Any machine that sees the folder, wherever it is mounted, can do a job with
"experiment run-job". Schedulers that "experiment --executor" does not know only have
to start that command once per index.

A job never changes, but the same command can add jobs, such as other seeds.`,
		Example: `  fmnist-gpu experiment prepare rates.yaml --out /shared/rates
  seq 0 19 | xargs -P 4 -n 1 \
    fmnist-gpu experiment run-job --dir /shared/rates --threads 1 --index`,
		Args:              oneArgument(`one experiment: "original" or a YAML file`),
		ValidArgsFunction: completeExperiments,
		RunE: func(c *cobra.Command, args []string) error {
			e, err := f.experiment(c, args[0])
			if err != nil {
				return err
			}
			jobs, err := prepareJobs(f.out, e)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "%s in %s; do each with: fmnist-gpu experiment run-job --dir %s --index 0 … %d\n",
				english.Plural(len(jobs.Names), "job", ""), jobs.Dir, quoted(jobs.Dir), len(jobs.Names)-1)
			return err
		},
	}
	addExperimentFlags(c.Flags(), &f)
	bind(flagGroup{c.Flags(), groupOutput}, &f.out, "out", kindOf("out"), outUsage)
	return c
}

// prepareJobs makes a folder the experiment's, with its runs as jobs.
func prepareJobs(dir string, e study.Experiment) (*study.Jobs, error) {
	if err := study.MakeOut(dir); err != nil {
		return nil, err
	}
	defer os.Remove(dir) // fails, as it should, unless the folder is empty
	unlock, err := trainer.LockFolder(dir, "experiment")
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := e.CheckIndex(dir, version()); err != nil {
		return nil, err
	}
	if _, _, err := e.Count(dir); err != nil {
		return nil, err
	}
	return e.WriteJobs(dir, version())
}

// jobFlags are the values of the flags of run-job.
type jobFlags struct {
	dir        string
	index      int
	device     deviceFlags
	gpuOnly    bool
	dataDir    string
	noProgress bool
}

// indexEnvironment are the variables in which schedulers say which job is to be done.
var indexEnvironment = []string{"SLURM_ARRAY_TASK_ID", "JOB_COMPLETION_INDEX"}

func newRunJobCommand() *cobra.Command {
	f := jobFlags{index: -1}
	c := &cobra.Command{
		Use:   "run-job --dir FOLDER [--index N]",
		Short: "Do one job of an experiment's folder",
		Long: `Train one run of an experiment's folder, in its folder there. Without --index, the
index is that of $SLURM_ARRAY_TASK_ID or $JOB_COMPLETION_INDEX.

A job that is done is skipped (exit code 0). One that is running elsewhere is not
done twice (exit code 1), as far as file locks reach the other machine. One that
diverges, and does so again when its last steps are repeated, ends with exit code 5. SIGTERM,
SIGINT and SIGUSR1 save a checkpoint and end with exit code 130; the next run-job
of that index continues, and the weights are, bit for bit, the same. If the program
is killed, the next one continues from the last checkpoint.

The program must be of the same version as the one that prepared the jobs.`,
		Example: `  fmnist-gpu experiment run-job --dir /shared/rates --index 3 --cpu
  fmnist-gpu experiment run-job --dir /shared/letters --data-dir ~/letters`,
		Args: noArguments(nil),
		RunE: func(c *cobra.Command, _ []string) error { return runJob(c, f) },
	}
	g := flagGroup{c.Flags(), groupExperiment}
	bind(g, &f.dir, "dir", kindOf("out"), "the experiment's folder")
	g.add(&checkedFlag{name: "index", kind: setting.Whole(0, 1<<31-1), store: func(v any) { f.index = v.(int) }}, "index of the job, from 0")
	g = flagGroup{c.Flags(), groupData}
	bind(g, &f.dataDir, "data-dir", kindOf("data-dir"), "folder of the dataset on this machine, Fashion-MNIST or the experiment's own (default: as in train)")
	g = flagGroup{c.Flags(), groupDevice}
	addDeviceFlags(g, &f.device)
	bind(g, &f.gpuOnly, "gpu-only", setting.Bool(), "never train on the CPU: without a GPU, end with exit code 3")
	bind(flagGroup{c.Flags(), groupOutput}, &f.noProgress, "no-progress", setting.Bool(), noProgressUsage)
	return c
}

// findIndex returns the index of the job to be done.
func (f jobFlags) findIndex() (int, error) {
	if f.index >= 0 {
		return f.index, nil
	}
	for _, name := range indexEnvironment {
		if text := os.Getenv(name); text != "" {
			index, err := strconv.Atoi(text)
			if err != nil {
				return 0, &commandLineError{fmt.Sprintf("$%s is %q: want the index of a job", name, text)}
			}
			return index, nil
		}
	}
	return 0, &commandLineError{fmt.Sprintf("which job? give --index, or set $%s", strings.Join(indexEnvironment, " or $"))}
}

// runJob does one job and records a failure in the experiment's folder.
func runJob(cmd *cobra.Command, f jobFlags) error {
	switch {
	case f.dir == "":
		return &commandLineError{"--dir is missing: name the folder of an experiment"}
	case f.gpuOnly && f.device.cpu:
		return &commandLineError{"--gpu-only and --cpu are mutually exclusive: leave one out"}
	}
	jobs, err := study.ReadJobs(f.dir)
	if err != nil {
		return err
	}
	index, err := f.findIndex()
	if err != nil {
		return err
	}
	if err := jobs.CheckVersion(version()); err != nil {
		return err
	}
	c, err := jobs.Config(index)
	if err != nil {
		return err
	}
	err = f.train(cmd, jobs, index, c)
	locked := (*trainer.LockedError)(nil)
	switch {
	case err == nil:
	case errors.Is(err, trainer.ErrInterrupted), errors.Is(err, context.Canceled):
		printInterrupted(cmd, "run the same command to resume")
	case errors.As(err, &locked): // not wrong usage: a scheduler may try again
		return fmt.Errorf("job %d, %s, is running elsewhere: wait until it ends, or interrupt it", index, c.Name)
	default:
		host, _ := os.Hostname()
		_ = jobs.RecordFailure(index, &study.JobFailure{Error: remedied(err), Host: host, Time: time.Now().UTC()}) // the disk may be full
	}
	if d, ok := errors.AsType[*trainer.DivergenceError](err); ok && d.Repeats {
		return &divergingJob{err}
	}
	return err
}

// divergingJob is the error of a job that would diverge in another try, too.
type divergingJob struct{ error }

// Unwrap returns what went wrong.
func (e *divergingJob) Unwrap() error { return e.error }

// train trains a job's run, unless it is finished.
func (f jobFlags) train(cmd *cobra.Command, jobs *study.Jobs, index int, c study.Config) error {
	e := study.Experiment{Name: jobs.Experiment, Groups: []study.Group{{Runs: []study.Config{c}}}}
	_, left, err := e.Count(jobs.Dir)
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	if left == 0 {
		fmt.Fprintf(out, "job %d, %s, is done\n", index, c.Name)
		return tidyJob(jobs.Run(index))
	}
	if err := jobs.RecordFailure(index, nil); err != nil {
		return err
	}
	here := c
	f.place(&here)
	if f.dataDir != "" && c.Dataset != dataset.FashionMNIST.Name {
		here.Dataset = f.dataDir // the run keeps the name that its dataset has in the experiment
	}
	err = withDevice(cmd, here, func(d *device, data *dataset.Dataset) error {
		if f.gpuOnly && d.environment.Backend == "cpu" {
			return fmt.Errorf("%w (--gpu-only): %s", gpu.ErrNoDevice, strings.TrimPrefix(d.why, gpu.ErrNoDevice.Error()+": "))
		}
		if err := jobs.CheckDataset(c, data); err != nil {
			return err
		}
		w := &trainingWriter{screen: newScreen(out, cmd.ErrOrStderr(), !f.noProgress), begun: index, total: len(jobs.Names)}
		defer w.screen.close()
		r := study.Runner{Dir: jobs.Dir, Data: data, Begin: w.begin, Workers: []study.Worker{{Backend: d.Backend, Environment: d.environment, Place: f.place}}}
		return r.Train(cmd.Context(), e)
	})
	if f.dataDir == "" {
		err = movedFrom("the experiment", "or is elsewhere on this machine, name it with --data-dir", err)
	}
	return err
}

// place sets how and where the job's run runs.
func (f jobFlags) place(c *study.Config) {
	c.NoProgress = f.noProgress
	c.Device, c.CPU, c.Threads, c.Validate = f.device.selector, f.device.cpu, f.device.threads, f.device.validate
	if c.Dataset == dataset.FashionMNIST.Name {
		c.DataDir = f.dataDir
	}
}

// tidyJob does what the worker that finished a run could not do if it was killed then.
func tidyJob(dir string) error {
	err := trainer.TidyRun(dir)
	if errors.As(err, new(*trainer.LockedError)) { // the worker has not ended yet
		return nil
	}
	return errors.Join(err, trainer.DropCheckpoint(dir), completeReport(dir))
}

func newStatusCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "status FOLDER",
		Short: "Show how far each training of an experiment is",
		Long: `Show how far each training of an experiment's folder is, at any moment, on any machine
that sees the folder. It only reads, and disturbs no training.

A training is running if a process holds the lock of its folder. Where locks do not
reach from machine to machine, it is shown as interrupted, and SAVED tells whether
it goes on. The accuracy is that of the best epoch on the images that select it.`,
		Example: `  fmnist-gpu experiment status /shared/rates
  fmnist-gpu experiment status --json /shared/rates`,
		Args:              oneArgument("the folder of one experiment"),
		ValidArgsFunction: onlyFolders,
		RunE: func(c *cobra.Command, args []string) error {
			jobs, err := study.ReadJobs(args[0])
			if err != nil {
				return err
			}
			list, err := jobs.Status()
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), map[string]any{"experiment": jobs.Experiment, "version": jobs.Version, "counts": countStates(list), "jobs": list})
			}
			return printStatus(c.OutOrStdout(), list)
		},
	}
	bind(flagGroup{c.Flags(), groupOutput}, &asJSON, "json", setting.Bool(), "print JSON")
	return c
}

// countStates counts the jobs in each state.
func countStates(list []study.JobStatus) map[study.JobState]int {
	counts := map[study.JobState]int{}
	for _, s := range list {
		counts[s.State]++
	}
	return counts
}

// printStatus prints a table of jobs, and how many are in each state.
func printStatus(out io.Writer, list []study.JobStatus) error {
	w := bufio.NewWriter(out) // a table writes each cell by itself
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "JOB\tRUN\tSTATE\tEPOCHS\tACCURACY\tSAVED")
	for _, s := range list {
		epochs, accuracy, saved := "", "", ""
		if s.Wanted > 0 {
			epochs = fmt.Sprintf("%d/%d", s.Epochs, s.Wanted)
		}
		if s.ValAccuracy != nil {
			accuracy = fmt.Sprintf("%.2f %%", 100**s.ValAccuracy)
		}
		if s.Saved != nil {
			saved = humanize.Time(*s.Saved)
		}
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\t%s\n", s.Index, s.Name, s.State, epochs, accuracy, saved)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, s := range list {
		if s.State == study.JobFailed {
			fmt.Fprintf(w, "job %d failed on %s, %s: %s\n", s.Index, printable(s.Failure.Host), humanize.Time(s.Failure.Time), printable(s.Failure.Error))
		}
	}
	counts, words := countStates(list), []string{}
	for _, state := range study.JobStates() {
		if n := counts[state]; n > 0 {
			words = append(words, fmt.Sprintf("%d %s", n, state))
		}
	}
	fmt.Fprintf(w, "%s: %s\n", english.Plural(len(list), "job", ""), strings.Join(words, ", "))
	return w.Flush()
}

func newCollectCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "collect FOLDER",
		Short: "Compare the finished trainings of an experiment",
		Long: `Compare the trainings of an experiment's folder that are finished, and write runs.csv
and the report of all of them there, as "experiment" does at its end. It can be done at
any moment, on any machine that sees the folder, and disturbs no training. Where the
folder can only be read, "compare" prints the same and writes nothing.`,
		Example: `  fmnist-gpu experiment collect /shared/rates
  fmnist-gpu experiment collect --json /shared/rates`,
		Args:              oneArgument("the folder of one experiment"),
		ValidArgsFunction: onlyFolders,
		RunE: func(c *cobra.Command, args []string) error {
			if _, err := study.ReadJobs(args[0]); err != nil { // which need not be described
				return err
			}
			groups, err := study.ReadGroups(args)
			if err != nil {
				return err
			}
			log := c.OutOrStdout()
			if asJSON {
				log = c.ErrOrStderr()
			}
			path, err := concludeExperiment(c, log, args[0], groups, asJSON)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(log, "\nreport: %s\n", path)
			return err
		},
	}
	bind(flagGroup{c.Flags(), groupOutput}, &asJSON, "json", setting.Bool(), "print the comparison as JSON, and everything else to standard error")
	return c
}
