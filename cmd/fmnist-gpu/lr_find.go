package main

import (
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/plots"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/setting"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/study"
)

// sweepFlags are the flags of lr-find, besides the trainings'.
type sweepFlags struct {
	trainer.RateSweep
	config string
	out    string // "" for no picture
	asJSON bool
}

func newLRFindCommand() *cobra.Command {
	f := sweepFlags{RateSweep: trainer.DefaultRateSweep()}
	c := &cobra.Command{
		Use:   "lr-find",
		Short: "Suggest a learning rate",
		Long: `Suggest a learning rate for a training: train with a rate that grows from step to
step, until the loss diverges, and look at the curve of the loss (Smith, 2017). The
sweep, its moving average and the suggestions are fastai's; it keeps no weights and
evaluates nothing.

The suggestion is the valley, the middle of the longest fall of the loss. For the
scheduler onecycle it is the peak. --out draws the curve, with the steepest place
and a tenth of the rate of the lowest loss, which are other suggestions.

It takes the flags of "train" that matter, and its settings files. --select-on val, the
default, does not train on the held-out images.`,
		Example: `  fmnist-gpu lr-find
  fmnist-gpu lr-find --cpu --model mynet.yaml --optimizer sgd --batch-size 128
  fmnist-gpu lr-find --config recipe.yaml --out rates.png
  fmnist-gpu lr-find --start 1e-5 --end 1 --steps 200 --json`,
		Args: noArguments(trainHint),
		RunE: func(c *cobra.Command, _ []string) error {
			if err := f.Check(); err != nil {
				return err
			}
			var config study.Config
			if err := resolve(c, &config, f.config); err != nil {
				return err
			}
			if err := f.checkOut(c, config); err != nil {
				return err
			}
			config.Quiet = f.asJSON
			return withDevice(c, config, func(d *device, data *dataset.Dataset) error { return f.run(c, d, data, config) })
		},
	}
	bind(flagGroup{c.Flags(), groupRun}, &f.config, "config", setting.Path("FILE", "a YAML file"), "read settings from this YAML file, whose keys are names of train's flags; - is standard input")
	g := flagGroup{c.Flags(), "Sweep"}
	bind(g, &f.Start, "start", kindOf("lr"), "first learning rate")
	bind(g, &f.End, "end", kindOf("lr"), "learning rate at which to stop, if the loss has not diverged")
	bind(g, &f.Steps, "steps", setting.Whole(trainer.MinSweepSteps, trainer.MaxSweepSteps), "optimiser steps from --start to --end")
	addSweepFlags(c.Flags())
	g = flagGroup{c.Flags(), groupOutput}
	bind(g, &f.out, "out", setting.Path("FILE", "a PNG file"), "draw the curve to this PNG file")
	bind(g, &f.asJSON, "json", setting.Bool(), "print the suggestions and the curve as JSON")
	return c
}

// addSweepFlags adds the flags of train that matter to a sweep.
func addSweepFlags(flags *pflag.FlagSet) {
	without := []string{"epochs", "lr", "scheduler", "warmup", "ema", "prune", "patience", "max-steps", "no-eval", "eval-images",
		"out", "name", "checkpoint-every", "log-every", "quiet", "no-progress"}
	all := pflag.NewFlagSet("", pflag.ContinueOnError)
	addTrainFlags(all)
	all.VisitAll(func(flag *pflag.Flag) {
		if !slices.Contains(without, flag.Name) {
			flags.AddFlag(flag)
		}
	})
}

// checkOut checks the file of --out, if there is one.
func (f *sweepFlags) checkOut(c *cobra.Command, config study.Config) error {
	if f.out == "" {
		return nil
	}
	if err := checkOutFile("out", f.out, f.config, config.InitFrom, c.Flags().Lookup("model").Value.String()); err != nil {
		return err
	}
	return checkOutOfClasses("out", f.out, config.Dataset)
}

// run sweeps, draws what --out asks for, and prints the suggestions.
func (f *sweepFlags) run(c *cobra.Command, d *device, data *dataset.Dataset, config study.Config) error {
	network, err := config.BuildNetwork(data.Info)
	if err != nil {
		return err
	}
	curve, err := trainer.FindRate(c.Context(), config.Recipe, network, data, d.Backend, config.InitFrom, f.RateSweep)
	if err != nil {
		return err
	}
	suggested, failed := curve.Suggest()
	if f.out != "" {
		var marks []plots.Mark
		if failed == nil {
			marks = []plots.Mark{{Name: "valley", Rate: suggested.Valley}, {Name: "steepest", Rate: suggested.Steepest}, {Name: "minimum / 10", Rate: suggested.Minimum}}
		}
		if err := f.draw(curve, marks); err != nil {
			return err
		}
	}
	if failed != nil {
		return failed
	}
	if f.asJSON {
		return printJSON(c.OutOrStdout(), struct {
			trainer.RateSuggestions
			*trainer.RateCurve
		}{suggested, curve})
	}
	return f.print(c.OutOrStdout(), curve, suggested)
}

// draw writes the picture of the curve.
func (f *sweepFlags) draw(curve *trainer.RateCurve, marks []plots.Mark) error {
	picture, err := plots.RateCurve(curve.Rates, curve.Losses, curve.Smoothed, marks)
	if err != nil {
		return err
	}
	return trainer.WriteFile(f.out, picture)
}

// print prints the suggestions for a person at a terminal.
func (f *sweepFlags) print(w io.Writer, curve *trainer.RateCurve, s trainer.RateSuggestions) error {
	ended := "the loss did not diverge"
	if curve.Diverged {
		ended = fmt.Sprintf("the loss diverged at %.2g", curve.Rates[len(curve.Rates)-1])
	}
	fmt.Fprintf(w, "swept %d steps from %.2g to %.2g; %s\n", len(curve.Rates), curve.Rates[0], curve.Rates[len(curve.Rates)-1], ended)
	if f.out != "" {
		fmt.Fprintf(w, "the curve is in %s\n", f.out)
	}
	_, err := fmt.Fprintf(w, "suggested learning rate: %.2g (valley; steepest %.2g, minimum / 10: %.2g); train with --lr %.2g\n", s.Valley, s.Steepest, s.Minimum, s.Valley)
	return err
}
