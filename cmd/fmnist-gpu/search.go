package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize/english"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/setting"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/study"
)

func newSearchCommand() *cobra.Command {
	f := experimentFlags{}
	c := &cobra.Command{
		Use:   "search FILE.yaml",
		Short: "Search for the best settings",
		Long: `Try settings at random, and train the best of them longer (successive halving;
Jamieson and Talwalkar, 2016). A YAML file gives the settings that all trials share
(base) and what the others may be (ranges): a list of values, or two ends between
which all values (uniform), or their logarithms (log-uniform), are equally likely.
A setting that wants whole numbers, such as batch-size, gets only these. Models can
be the files of networks, relative to this file:

    base: {optimizer: sgd, scheduler: onecycle, augment: light}
    ranges:
      lr: {log-uniform: [0.01, 1]}
      momentum: {uniform: [0.8, 0.99]}
      batch-size: {log-uniform: [32, 256]}
      model: [fashioncnn, mynet.yaml]
    trials: 27
    max-epochs: 9

This trains 27 trials for 1 epoch, the best 9 of them up to epoch 3, and the best 3 of
these up to epoch 9: 63 epochs, and not 243. Trials are ranked by their best validation
accuracy; nothing is tested, and the test images are never looked at. The accuracy
of the best trial is optimistic, since it is why that trial is the best.

Schedules are those of --max-epochs from the beginning, so that a trial goes on where
it stopped. The first rungs therefore judge onecycle and cosine before their rates
have fallen: a larger --min-epochs judges better.

Several trials run at a time, as in an experiment; the results do not depend on this.
If a search is interrupted or killed, the same command resumes it.`,
		Example: `  fmnist-gpu search rates.yaml
  fmnist-gpu search rates.yaml --trials 40 --min-epochs 2 --max-epochs 20
  fmnist-gpu search rates.yaml --cpu --out runs/rates --json
  fmnist-gpu train --config runs/rates/best.yaml --seed 43
  fmnist-gpu train --resume runs/rates/trial07`,
		Args:              oneArgument("one YAML file that describes a search"),
		ValidArgsFunction: extensions("yaml", "yml"),
		RunE: func(c *cobra.Command, args []string) error {
			text, err := readInput(c, args[0])
			if err != nil {
				return err
			}
			s, err := study.ParseSearch(inputName(args[0]), text, planned(c.Flags())...)
			if err != nil {
				return err
			}
			if f.out == "" {
				f.out = filepath.Join("runs", s.Name)
			}
			if err := checkInFolder(f.out, args[0], study.SearchFile, study.TrialsFile, study.BestFile); err != nil {
				return err
			}
			if err := f.checkOutside(s.Experiment()); err != nil {
				return err
			}
			return runSearch(c, f, s)
		},
	}
	g := flagGroup{c.Flags(), groupSearch}
	plan := study.DefaultSearchPlan()
	for _, s := range study.SearchSettings() {
		g.add(&checkedFlag{name: s.Name, kind: s.Kind, text: setting.Value(&plan, s.Name), store: func(any) {}}, searchUsage[s.Name])
	}
	addWorkerFlags(c.Flags(), &f, "all trials")
	return c
}

// groupSearch is the heading of the flags of a search's plan.
const groupSearch = "Search"

// searchUsage describes the flags of a search's plan, which override its file.
var searchUsage = map[string]string{
	"trials":     "trials to begin with",
	"min-epochs": "fewest epochs that a trial is trained for",
	"max-epochs": "most epochs, those of the last trials",
	"reduction":  "the best one in `N` trials goes on, up to N times the epochs",
	"seed":       "seed of the trials' settings (the seed of the trainings is under base)",
}

// planned returns the flags of a search's plan that were given.
func planned(flags *pflag.FlagSet) []setting.Assignment {
	var list []setting.Assignment
	for _, s := range study.SearchSettings() {
		if flag := flags.Lookup(s.Name); flag.Changed {
			list = append(list, setting.Assignment{Name: s.Name, Value: flag.Value.String(), Source: "--" + s.Name})
		}
	}
	return list
}

// runSearch trains what is left of a search, and prints what it has found.
func runSearch(cmd *cobra.Command, f experimentFlags, s study.Search) error {
	if err := study.MakeOut(f.out); err != nil {
		return err
	}
	defer os.Remove(f.out) // does nothing if it is not empty
	unlock, err := trainer.LockFolder(f.out, "search")
	if err != nil {
		return err
	}
	defer unlock()
	log := cmd.OutOrStdout()
	if f.asJSON {
		log = cmd.ErrOrStderr()
	}
	begun := time.Now()
	found, err := trainSearch(cmd, log, f, s)
	if errors.Is(err, trainer.ErrInterrupted) {
		printInterrupted(cmd, "run the same command to resume")
	}
	if err != nil {
		return err
	}
	best := found.Best()
	if f.asJSON {
		return printJSON(cmd.OutOrStdout(), found)
	}
	fmt.Fprintln(log)
	if err := printTrials(log, found); err != nil {
		return err
	}
	_, err = fmt.Fprintf(log, "\n%.1f s; the best is %s: validation accuracy %.2f %% after %s\nto test it: fmnist-gpu train --resume %s\nto train with its settings: fmnist-gpu train --config %s\n",
		time.Since(begun).Seconds(), best.Name, 100*best.Accuracy(), english.Plural(best.Epochs, "epoch", ""),
		quoted(filepath.Join(f.out, best.Name)), quoted(filepath.Join(f.out, study.BestFile)))
	return err
}

// trainSearch trains what is left of a search.
func trainSearch(cmd *cobra.Command, log io.Writer, f experimentFlags, s study.Search) (found *study.SearchResult, err error) {
	if found, err = s.Read(f.out); err != nil {
		return nil, err
	}
	left := found.Left()
	if left == 0 {
		fmt.Fprintln(log, "the search was already complete")
		return s.Train(cmd.Context(), study.Runner{Dir: f.out})
	}
	e := s.Experiment()
	config := e.Groups[0].Runs[0]
	config.DataDir, config.NoProgress = f.dataDir, f.noProgress
	data, err := loadDataset(cmd, log, config)
	if err != nil {
		return nil, movedFrom("the search", "change it in the search's file", err)
	}
	if err := e.Fit(data.Info); err != nil {
		return nil, err
	}
	devices, err := openWorkers(f, e.Precision(), left)
	if err != nil {
		return nil, err
	}
	defer func() { err = closeAll(devices, err) }()
	w := &trainingWriter{screen: newScreen(log, cmd.ErrOrStderr(), !f.noProgress), total: left, together: len(devices) > 1}
	defer w.screen.close()
	announceAll(w.screen, devices, 1)
	r := study.Runner{Dir: f.out, Data: data, Begin: w.beginTrial}
	for i, d := range devices {
		r.Workers = append(r.Workers, study.Worker{Backend: d.Backend, Environment: d.environment, Place: func(c *study.Config) { f.place(c, i) }})
	}
	return s.Train(cmd.Context(), r)
}

// beginTrial prints that a trial begins or goes on, and returns its progress and what to
// do at its end.
func (w *trainingWriter) beginTrial(c study.Config, dir string, found trainer.RunState) (trainer.Progress, func(*trainer.Result) error) {
	p := w.announce(c, dir, found)
	return p, func(*trainer.Result) error {
		p.end()
		return nil
	}
}

// printTrials prints the table of a search's trials.
func printTrials(w io.Writer, found *study.SearchResult) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	header, rows := found.Table(func(x float64) string { return fmt.Sprintf("%.2f %%", 100*x) })
	fmt.Fprintln(t, strings.ToUpper(strings.ReplaceAll(strings.Join(header, "\t"), "_", " ")))
	for _, row := range rows {
		fmt.Fprintln(t, strings.Join(row, "\t"))
	}
	return t.Flush()
}
