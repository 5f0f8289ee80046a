package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize/english"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/setting"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/study"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/study/slurm"
)

// The values of --executor.
const (
	executorLocal      = "local"
	executorSlurm      = "slurm"
	executorKubernetes = "kubernetes"
)

// slurmFlags are the values of the flags for Slurm.
type slurmFlags struct {
	options  []string // of sbatch, without dashes
	attempts int
}

func addSlurmFlags(flags *pflag.FlagSet, f *slurmFlags) {
	f.attempts = 3
	g := flagGroup{flags, groupSlurm}
	bindEach(g, &f.options, "sbatch", setting.Text("OPTION", "an option of sbatch without dashes, such as partition=gpu"),
		"option of sbatch for each training, such as partition=gpu, mem=8G or time=2:00:00; may be repeated")
	bind(g, &f.attempts, "attempts", setting.Whole(1, 1000), "times in a row that a training may end without having saved a checkpoint before it counts as failed")
}

// runOnSlurm trains an experiment's runs as jobs of a Slurm cluster, and compares them.
func runOnSlurm(cmd *cobra.Command, f experimentFlags, e study.Experiment) error {
	if f.replicas > 1 || len(f.devices) > 1 {
		return &commandLineError{"--replicas and several --device are for --executor local: on Slurm, each training has a device of its own"}
	}
	if f.slurm.sets("array", "job-name") {
		return &commandLineError{"--sbatch cannot set array or job-name, by which the trainings are found in Slurm's queue: leave them out"}
	}
	begun := time.Now()
	jobs, err := prepareJobs(f.out, e)
	if err != nil {
		return err
	}
	unlock, err := trainer.LockFolder(f.out, "experiment")
	if err != nil {
		return err
	}
	defer unlock()
	log := cmd.OutOrStdout()
	if f.asJSON {
		log = cmd.ErrOrStderr()
	}
	tracked := trackOnSlurm(cmd, log, f, jobs)
	if errors.Is(tracked, context.Canceled) {
		fmt.Fprintf(log, "the trainings go on; the same command follows them, \"fmnist-gpu experiment cancel %s\" ends them\n", quoted(f.out))
	}
	var failed *jobsFailedError
	if tracked != nil && !errors.As(tracked, &failed) {
		return tracked
	}
	return errors.Join(tracked, finishExperiment(cmd, log, f, begun))
}

// trackOnSlurm submits and follows the jobs that are not done.
func trackOnSlurm(cmd *cobra.Command, log io.Writer, f experimentFlags, jobs *study.Jobs) error {
	unfinished, err := jobs.Unfinished()
	if err != nil {
		return err
	}
	if len(unfinished) == 0 {
		_, err := fmt.Fprintln(log, "every run was already finished")
		return err
	}
	arrays, err := f.slurmArrays()
	if err != nil {
		return err
	}
	if err := arrays.Open(cmd.Context(), jobs.Experiment); err != nil {
		return err
	}
	tracking := slurm.Tracking{
		Attempts: f.slurm.attempts,
		Note:     func(text string) { fmt.Fprintln(log, text) },
		Counted: func(c slurm.Counts) {
			fmt.Fprintf(log, "%s  %d done, %d running, %d waiting, %d failed\n", time.Now().Format(time.TimeOnly),
				c.Done+len(jobs.Names)-len(unfinished), c.Running, c.Waiting, c.Failed)
		},
	}
	if !f.slurm.limitsTime() {
		if tracking.Limit, err = estimateLimit(log, jobs); err != nil {
			return err
		}
	}
	outcome, err := arrays.Track(cmd.Context(), jobs, unfinished, tracking)
	switch {
	case err != nil && strings.Contains(err.Error(), "generic resource"):
		return fmt.Errorf("%w; name the cluster's GPUs with --sbatch gres=NAME:1, or train on its processors with --cpu", err)
	case err != nil:
		return err
	case outcome.Cancelled:
		return errors.New("the trainings were cancelled; the same command resumes them")
	case len(outcome.Failed) > 0:
		return &jobsFailedError{jobs, outcome.Failed}
	}
	return nil
}

// slurmArrays returns how the jobs are submitted.
func (f experimentFlags) slurmArrays() (*slurm.Arrays, error) {
	program, err1 := os.Executable()
	dir, err2 := filepath.Abs(f.out)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	worker := []string{program, "experiment", "run-job", "--no-progress", "--dir", dir}
	if f.dataDir != "" {
		data, err := filepath.Abs(f.dataDir)
		if err != nil {
			return nil, err
		}
		worker = append(worker, "--data-dir", data)
	}
	var options []string
	// On many clusters, a job that asks for no amount of memory gets all of a node's.
	if !f.slurm.sets("mem", "mem-per-cpu", "mem-per-gpu") { // sbatch takes but one of them
		options = append(options, "--mem=2G")
	}
	if f.device.cpu {
		threads := max(1, f.device.threads)
		options = append(options, fmt.Sprintf("--cpus-per-task=%d", threads))
		worker = append(worker, "--cpu", fmt.Sprintf("--threads=%d", threads))
	} else {
		if !f.slurm.sets("gres", "gpus", "gpus-per-node", "gpus-per-socket", "gpus-per-task") {
			options = append(options, "--gres=gpu:1")
		}
		worker = append(worker, "--gpu-only")
		for _, d := range f.devices {
			worker = append(worker, "--device", d)
		}
	}
	if f.device.validate {
		worker = append(worker, "--validate")
	}
	for _, o := range f.slurm.options {
		options = append(options, "--"+o)
	}
	return &slurm.Arrays{Dir: dir, Worker: append(worker, "--index"), Options: options, AtOnce: f.parallel}, nil
}

// limitsTime reports whether the user has set a time limit, in sbatch's ways.
func (f slurmFlags) limitsTime() bool {
	return os.Getenv("SBATCH_TIMELIMIT") != "" || f.sets("time")
}

// sets reports whether the user has given one of these options of sbatch.
func (f slurmFlags) sets(names ...string) bool {
	return slices.ContainsFunc(f.options, func(o string) bool {
		name, _, _ := strings.Cut(o, "=")
		return slices.Contains(names, name)
	})
}

// estimateLimit returns what estimates the jobs' time limit.
func estimateLimit(log io.Writer, jobs *study.Jobs) (func() (time.Duration, []int), error) {
	timing, err := jobs.Timing()
	if err != nil {
		return nil, err
	}
	return func() (time.Duration, []int) {
		seconds, unknown := timing.Longest()
		if len(unknown) > 0 {
			return 0, unknown
		}
		// A node may be slow, and what is not done by then is submitted again.
		limit := (2*time.Duration(seconds*float64(time.Second)) + 10*time.Minute).Round(time.Minute)
		fmt.Fprintf(log, "time limit, estimated from the first epochs: %v\n", limit)
		return limit, nil
	}, nil
}

// jobsFailedError is the error of jobs that failed.
type jobsFailedError struct {
	jobs   *study.Jobs
	failed map[int]string
}

// Error names the first job.
func (e *jobsFailedError) Error() string {
	first := slices.Min(slices.Collect(maps.Keys(e.failed)))
	return fmt.Sprintf("%s of %d failed, the first %s (job %d): %s", english.Plural(len(e.failed), "training", ""), len(e.jobs.Names), e.jobs.Names[first], first, e.failed[first])
}

func newCancelCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "cancel FOLDER",
		Short: "End the trainings of an experiment on Slurm",
		Long: `End the trainings of an experiment's folder that wait or run on Slurm. Those that run
save a checkpoint. An "experiment --executor slurm" that follows them ends too; giving
that command again resumes the experiment.`,
		Example:           `  fmnist-gpu experiment cancel /shared/rates`,
		Args:              oneArgument("the folder of one experiment"),
		ValidArgsFunction: onlyFolders,
		RunE: func(c *cobra.Command, args []string) error {
			if _, err := study.ReadJobs(args[0]); err != nil {
				return err
			}
			if !slurm.Submitted(args[0]) {
				return &commandLineError{fmt.Sprintf("no trainings of %s were submitted to Slurm", args[0])}
			}
			n, err := slurm.Cancel(c.Context(), args[0])
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "cancelled %s\n", english.Plural(n, "training", ""))
			return err
		},
	}
}
