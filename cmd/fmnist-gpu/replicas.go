package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/setting"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/study"
)

// bindReplicas adds the flag that says how many of the given trainings a GPU computes
// at once.
func bindReplicas(g flagGroup, p *int, which string) {
	bind(g, p, "replicas", setting.Whole(1, 1<<10), which+" that a GPU computes at once; the CPU trains one per core")
}

// replicasOn returns how many replicas each of the devices trains at once: on the CPU,
// trainings on separate cores are faster.
func replicasOn(devices []*device, wanted int) int {
	if devices[0].environment.Backend == "cpu" {
		return 1
	}
	return wanted
}

// fewerReplicas adds the remedy, a format of a number, to the error of replicas that do
// not fit on a device.
func fewerReplicas(err error, remedy string) error {
	if few := (*trainer.ReplicasError)(nil); errors.As(err, &few) {
		return fmt.Errorf("%w; "+remedy, err, few.Fit)
	}
	return err
}

// useReplicas is the remedy of commands with --replicas.
const useReplicas = "use --replicas %d"

// trainReplicas trains n new runs with consecutive seeds at once.
func trainReplicas(cmd *cobra.Command, c study.Config, n int, page *trainingPage) error {
	if err := study.MakeOut(c.Out); err != nil {
		return err
	}
	defer os.Remove(c.Out) // does nothing if it is not empty
	runs, err := c.Replicas(n)
	if err != nil {
		return err
	}
	return fewerReplicas(trainRuns(cmd, runs, page), useReplicas)
}

// resumeReplicas continues the runs in several folders at once.
func resumeReplicas(cmd *cobra.Command, dirs []string, page *trainingPage) error {
	var runs []study.Config
	var folders []fs.FileInfo
	for _, dir := range dirs {
		c, err := resumedConfig(cmd, dir)
		if err != nil {
			return err
		}
		folder, err := os.Stat(dir)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(folders, func(other fs.FileInfo) bool { return os.SameFile(folder, other) }) {
			return &commandLineError{fmt.Sprintf("--resume names the run %s twice: leave one out", dir)}
		}
		folders = append(folders, folder)
		c.Out, c.Name = filepath.Dir(filepath.Clean(dir)), filepath.Base(filepath.Clean(dir))
		runs = append(runs, c)
	}
	err := movedFromRun(cmd, dirs[0], trainRuns(cmd, runs, page))
	return fewerReplicas(err, "resume at most %d at once")
}

// trainRuns trains or resumes runs that differ only in the seed, each in the folder that
// its settings name.
func trainRuns(cmd *cobra.Command, runs []study.Config, page *trainingPage) error {
	if page.wanted || page.logFormat != logText {
		return &commandLineError{"--serve and --log-format json follow one training: leave them out, or train one at a time"}
	}
	err := trainAtOnce(cmd, runs)
	if errors.Is(err, trainer.ErrInterrupted) {
		printInterrupted(cmd, howToResume(runs))
	}
	return err
}

// howToResume says how to go on with interrupted runs. On the CPU, some may not have
// begun: these have no folder yet.
func howToResume(runs []study.Config) string {
	resume, seeds := "", ""
	for _, c := range runs {
		dir := filepath.Join(c.Out, c.Name)
		if state, err := trainer.StateOfRun(dir); err == nil && state == trainer.RunNew {
			seeds += fmt.Sprintf(" %d", c.Seed)
		} else {
			resume += " --resume " + quoted(dir)
		}
	}
	var how []string
	if resume != "" {
		how = append(how, "resume with: fmnist-gpu train"+resume)
	}
	if seeds != "" {
		how = append(how, "not begun, so still to be trained: seeds"+seeds)
	}
	return strings.Join(how, "; ")
}

// trainAtOnce trains the runs at once on a GPU, side by side on the CPU.
func trainAtOnce(cmd *cobra.Command, runs []study.Config) (err error) {
	c := runs[0]
	f := experimentFlags{device: deviceFlags{cpu: c.CPU, threads: c.Threads, validate: c.Validate}}
	if c.Device != "" {
		f.devices = []string{c.Device}
	}
	precision, err := kernels.ParsePrecision(c.Precision)
	if err != nil {
		return err
	}
	devices, err := openWorkers(f, precision, len(runs))
	if err != nil {
		return err
	}
	defer func() { err = closeAll(devices, err) }()
	data, err := loadDataset(cmd, cmd.OutOrStdout(), c)
	if err != nil {
		return err
	}
	r := study.Runner{Data: data, Replicas: replicasOn(devices, len(runs)), KeepCheckpoints: true}
	w := &trainingWriter{screen: newScreen(cmd.OutOrStdout(), cmd.ErrOrStderr(), !c.NoProgress && !c.Quiet), total: len(runs), together: true}
	defer w.screen.close()
	if !c.Quiet {
		announceAll(w.screen, devices, r.Replicas)
	}
	r.Begin = w.begin
	for _, d := range devices {
		r.Workers = append(r.Workers, study.Worker{Backend: d.Backend, Environment: d.environment})
	}
	return r.Train(cmd.Context(), study.Experiment{Groups: []study.Group{{Runs: runs}}})
}
