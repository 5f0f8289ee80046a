package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
)

func newExperimentCommand() *cobra.Command {
	var f deviceFlags
	var out, dataDir, seeds string
	var noProgress bool
	c := &cobra.Command{
		Use:   "experiment original|FILE.yaml",
		Short: "A set of trainings over seeds, resumable, and their comparison",
		Long: `Run a set of trainings one after the other, each in a folder of its own, then compare
them. "original" is the original study: its five trainings, and its learning rates.
A YAML file has settings that all runs share and lists of values to combine:

    base: {preset: main_no_aug, epochs: 5}
    grid:
      lr: [0.01, 0.001]
      seed: [42, 43, 44]

The same command goes on where an interrupted or killed experiment was; finished runs
are never repeated.`,
		Example: `  fmnist-gpu experiment original
  fmnist-gpu experiment original --seeds 42-46 --cpu
  fmnist-gpu experiment rates.yaml --out runs/rates`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return &commandLineError{`name one experiment: "original" or a YAML file`}
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			e, err := findExperiment(args[0], seeds, c.Flags().Changed("seeds"))
			if err != nil {
				return err
			}
			if out == "" {
				out = filepath.Join("runs", e.Name)
			}
			return runExperiment(c, f, e, out, dataDir, noProgress)
		},
	}
	c.Flags().StringVar(&seeds, "seeds", "42", "of original: a `list` such as 42,43 or 42-46")
	c.Flags().StringVar(&out, "out", "", "`folder` of the runs' folders (default runs/NAME)")
	c.Flags().StringVar(&dataDir, "data-dir", "", "`folder` of the dataset's files")
	c.Flags().BoolVar(&noProgress, "no-progress", false, "print a line an epoch, without a progress bar")
	addDeviceFlags(c, &f)
	return c
}

func findExperiment(name, seeds string, withSeeds bool) (trainer.Experiment, error) {
	if name != "original" {
		if withSeeds {
			return trainer.Experiment{}, &commandLineError{"--seeds is for original: list seeds in the file's grid"}
		}
		return trainer.LoadExperiment(name)
	}
	list, err := parseSeeds(seeds)
	if err != nil {
		return trainer.Experiment{}, err
	}
	return trainer.OriginalExperiment(list)
}

// parseSeeds reads "42,45" and "42-46".
func parseSeeds(text string) ([]uint64, error) {
	const most = 1000
	var seeds []uint64
	for _, part := range strings.Split(text, ",") {
		low, high, isRange := strings.Cut(part, "-")
		if !isRange {
			high = low
		}
		from, err1 := strconv.ParseUint(low, 10, 64)
		to, err2 := strconv.ParseUint(high, 10, 64)
		if err1 != nil || err2 != nil || from > to || to-from >= most {
			return nil, &commandLineError{fmt.Sprintf("--seeds %q: want numbers such as 42,43 or 42-46", text)}
		}
		for s := from; s <= to; s++ {
			seeds = append(seeds, s)
		}
	}
	return seeds, nil
}

// runExperiment does what is left of an experiment.
func runExperiment(cmd *cobra.Command, f deviceFlags, e trainer.Experiment, out, dataDir string, noProgress bool) error {
	if err := os.MkdirAll(out, 0o777); err != nil {
		return err
	}
	first := e.Groups[0][0]
	first.Device, first.CPU, first.Threads, first.Validate, first.DataDir = f.selector, f.cpu, f.threads, f.validate, dataDir
	all := slices.Concat(e.Groups...)
	err := withDevice(cmd, first, func(d *device, data *dataset.Dataset) error {
		for i, c := range all {
			c.Out, c.DataDir, c.NoProgress = out, dataDir, noProgress
			c.Device, c.CPU, c.Threads, c.Validate = f.selector, f.cpu, f.threads, f.validate
			fmt.Fprintf(cmd.OutOrStdout(), "\n[%d of %d] %s", i+1, len(all), c.Name)
			if err := runOne(cmd, d, data, c, filepath.Join(out, c.Name)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, group := range e.Groups {
		if len(group) < 2 {
			continue
		}
		var dirs []string
		for _, c := range group {
			dirs = append(dirs, filepath.Join(out, c.Name))
		}
		fmt.Fprintln(cmd.OutOrStdout())
		if err := compareRuns(cmd, dirs, false); err != nil {
			return err
		}
	}
	return nil
}

// runOne trains one run, or what is left of it.
func runOne(cmd *cobra.Command, d *device, data *dataset.Dataset, c trainer.Config, dir string) error {
	state, err := trainer.StateOfRun(dir)
	if err != nil {
		return err
	}
	w := cmd.OutOrStdout()
	switch state {
	case trainer.RunFinished:
		fmt.Fprintln(w, ": finished before")
		return nil
	case trainer.RunInProgress:
		fmt.Fprintln(w, ": goes on")
		return runTraining(cmd, c, d, data, trainer.Options{Dir: dir, Resume: true})
	case trainer.RunBroken: // ended before its first checkpoint
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	fmt.Fprintln(w)
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	return runTraining(cmd, c, d, data, trainer.Options{Dir: dir})
}
