package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/checkpoint"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/model"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/report"
)

func newTrainCommand() *cobra.Command {
	c := trainer.DefaultConfig()
	var file, resume string
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "train",
		Short: "Train one model",
		Long: `Train one model on Fashion-MNIST and write its run to a folder: settings, results
of every epoch, best and last weights, the best weights' metrics on the test set,
pictures, and a report in one HTML file.

Without --device or --cpu it trains on the best GPU, or on the CPU where there is
none. Settings come from the defaults, then the preset, then --config, then flags,
a preset among them first.
Ctrl-C, SIGTERM and a closed terminal or pipe finish the step, save, and exit with
130; a second Ctrl-C ends at once. --resume goes on from there, and with more --epochs
after the end of a finished run too. For that a run keeps its folder checkpoint, which
may be deleted.

On a slow device the evaluation after each epoch can take longer than training:
--eval-images N evaluates the same N images each time, evenly spaced in their split, on
which the best epoch, the plateau scheduler and --patience then depend; the test set is
limited likewise, and metrics.json says to how many images. --no-eval evaluates nothing
until the end: the last epoch's weights are the run's ("protocol": "none"), plateau keeps
its rate, and --patience does not stop.`,
		Example: `  fmnist-gpu train                                   fashioncnn, 10 epochs
  fmnist-gpu train --cpu --epochs 3
  fmnist-gpu train --device 0 --preset main_no_aug --select-on test
  fmnist-gpu train --model logistic --lr 0.01 --optimizer sgd
  fmnist-gpu train --config runs/fashioncnn/args.yaml --seed 43 --name seed43
  fmnist-gpu train --resume runs/fashioncnn --epochs 20
  fmnist-gpu train --device 0 --max-steps 20 --eval-images 500     a quick try of a slow device`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if resume != "" {
				if err := checkResume(cmd.Flags(), resume); err != nil {
					return err
				}
				file = filepath.Join(resume, trainer.ArgsFile)
			}
			if err := resolve(cmd.Flags(), &c, file); err != nil {
				return err
			}
			if resume != "" {
				return resumeTraining(cmd, c, resume)
			}
			if dryRun {
				return printPlan(cmd.OutOrStdout(), c)
			}
			return train(cmd, c)
		},
	}
	addTrainFlags(cmd.Flags(), &c)
	cmd.Flags().StringVar(&file, "config", "", "YAML `file` of settings, keys as the flags; flags win")
	cmd.Flags().StringVar(&resume, "resume", "", "go on with the run of this `folder`, interrupted or finished")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "print the settings, parameters and memory; train nothing")
	return cmd
}

// addTrainFlags binds a flag to each setting. Its default is what c holds.
func addTrainFlags(f *pflag.FlagSet, c *trainer.Config) {
	f.SortFlags = false
	f.StringVar(&c.Preset, "preset", c.Preset, "training of the original study: "+presetNames())
	f.StringVar(&c.Model, "model", c.Model, strings.Join(model.Names(), ", "))
	f.IntVar(&c.Epochs, "epochs", c.Epochs, "passes over the training images")
	f.IntVar(&c.BatchSize, "batch-size", c.BatchSize, "images a step")
	f.Float64Var(&c.LR, "lr", c.LR, "learning rate")
	f.StringVar(&c.Optimizer, "optimizer", c.Optimizer, "adam or sgd")
	f.Float64Var(&c.Momentum, "momentum", c.Momentum, "Nesterov momentum of sgd")
	f.Float64Var(&c.WeightDecay, "weight-decay", c.WeightDecay, "L2 penalty")
	f.StringVar(&c.Scheduler, "scheduler", c.Scheduler, "plateau, none, onecycle or cosine")
	addAugmentFlags(f, c)
	f.Float64Var(&c.Dropout, "dropout", c.Dropout, "probability of dropping a unit")
	f.Float64Var(&c.Smoothing, "label-smoothing", c.Smoothing, "of the training loss")
	f.Uint64Var(&c.Seed, "seed", c.Seed, "of weights, image order, dropout and hold-out")
	f.StringVar(&c.SelectOn, "select-on", c.SelectOn, "images that choose the best epoch: val holds out 5,000 training images, test is the original's protocol")
	f.IntVar(&c.Patience, "patience", c.Patience, "stop after this many epochs without improvement; 0 never")
	f.StringVar(&c.Precision, "precision", c.Precision, "fp32 or mixed (factors in bfloat16, sums and weights in fp32)")
	f.StringVar(&c.Device, "device", c.Device, "Vulkan device: `index`, name or UUID, as the command devices lists them")
	f.BoolVar(&c.CPU, "cpu", c.CPU, "train on the CPU")
	f.IntVar(&c.Threads, "threads", c.Threads, "of the CPU backend; 0 for all cores")
	f.BoolVar(&c.Validate, "validate", c.Validate, "run under the Vulkan validation layer; whatever it says is an error")
	f.StringVar(&c.DataDir, "data-dir", c.DataDir, "`folder` of the dataset's files")
	f.StringVar(&c.Out, "out", c.Out, "`folder` that gets the run's folder")
	f.StringVar(&c.Name, "name", c.Name, "of the run's folder (default the preset's or model's, numbered)")
	f.StringVar(&c.InitFrom, "init", c.InitFrom, "start from the weights of this `file` (.safetensors, PyTorch's .pth) or run's folder")
	f.BoolVar(&c.NoShuffle, "no-shuffle", c.NoShuffle, "take training images in file order")
	f.IntVar(&c.MaxSteps, "max-steps", c.MaxSteps, "stop after this many optimiser steps; 0 never")
	f.BoolVar(&c.NoEval, "no-eval", c.NoEval, "do not evaluate after each epoch: the last weights are kept, nothing stops early")
	f.IntVar(&c.EvalImages, "eval-images", c.EvalImages, "evaluate at most `N` images of each split, evenly spaced; 0 for all")
	f.IntVar(&c.LogEvery, "log-every", c.LogEvery, "write each Nth step to steps.csv; 0 none")
	f.BoolVar(&c.Quiet, "quiet", c.Quiet, "print only the result")
	f.BoolVar(&c.NoProgress, "no-progress", c.NoProgress, "print a line an epoch, without a progress bar")
}

// addAugmentFlags binds the flags of augmentation.
func addAugmentFlags(f *pflag.FlagSet, c *trainer.Config) {
	f.StringVar(&c.Augment, "augment", c.Augment, "of training images: none; original (rotate 10, flip random, crop 4); light (flip alternating, crop 2, erase .25)")
	f.Var(&optional[float64]{&c.Rotate}, "rotate", "turn by up to so many `degrees`, instead of what --augment says")
	f.Var(&optional[string]{&c.Flip}, "flip", "none, random, or alternating from epoch to epoch, instead of what --augment says")
	f.Var(&optional[int]{&c.Crop}, "crop", "move by up to so many `pixels`, instead of what --augment says")
	f.Var(&optional[float64]{&c.Erase}, "erase", "erase a rectangle with this `probability`, instead of what --augment says")
}

// optional is the value of a flag that can be left out.
type optional[T any] struct{ value **T }

// String implements [pflag.Value].
func (o *optional[T]) String() string {
	if o.value == nil || *o.value == nil {
		return ""
	}
	return fmt.Sprint(**o.value)
}

// Set implements [pflag.Value].
func (o *optional[T]) Set(text string) error {
	v := new(T)
	if s, ok := any(v).(*string); ok {
		*s = text
	} else if _, err := fmt.Sscanf(text+"\n", "%v\n", v); err != nil {
		return fmt.Errorf("%q is no %s", text, o.Type())
	}
	*o.value = v
	return nil
}

// Type implements [pflag.Value].
func (o *optional[T]) Type() string { return fmt.Sprintf("%T", *new(T)) }

func presetNames() string {
	var names []string
	for _, p := range trainer.Presets() {
		names = append(names, p.Name)
	}
	return strings.Join(names, ", ")
}

// resolve fills c from the defaults, the file, and the flags that were given
// (a preset before the others), in that order.
func resolve(flags *pflag.FlagSet, c *trainer.Config, file string) error {
	given := map[string]string{}
	flags.Visit(func(f *pflag.Flag) { given[f.Name] = f.Value.String() })
	*c = trainer.DefaultConfig()
	if file != "" {
		if err := loadFile(c, file); err != nil {
			return err
		}
	}
	if preset := given["preset"]; preset != "" {
		if err := c.ApplyPreset(preset); err != nil {
			return err
		}
	}
	// A device that is chosen here takes the place of the file's.
	if given["cpu"] == "true" {
		c.Device = ""
	} else if given["device"] != "" {
		c.CPU = false
	}
	for name, value := range given {
		if err := flags.Set(name, value); err != nil {
			return err
		}
	}
	return c.Check()
}

// loadFile overwrites c with a file's settings, its preset before the others.
func loadFile(c *trainer.Config, file string) error {
	var inFile trainer.Config
	if err := inFile.LoadYAML(file); err != nil {
		return err
	}
	if inFile.Preset != "" {
		if err := c.ApplyPreset(inFile.Preset); err != nil {
			return err
		}
	}
	return c.LoadYAML(file)
}

// resumable are the flags that can change in the middle of a run.
var resumable = []string{"resume", "device", "cpu", "threads", "validate", "data-dir", "epochs", "patience",
	"max-steps", "log-every", "quiet", "no-progress"}

// checkResume refuses flags that would make another run of the one that is
// resumed, and a folder that holds none.
func checkResume(flags *pflag.FlagSet, dir string) error {
	var refused string
	flags.Visit(func(f *pflag.Flag) {
		if !slices.Contains(resumable, f.Name) {
			refused = f.Name
		}
	})
	if refused != "" {
		return &commandLineError{fmt.Sprintf("--%s cannot change in a run that is resumed: leave it out, or start a new run", refused)}
	}
	if _, err := os.Stat(filepath.Join(dir, trainer.ArgsFile)); err != nil {
		return fmt.Errorf("%w: %s is not a run's folder, or its training ended before it began: it has no %s; name the folder of a run, or start a new run",
			checkpoint.ErrBadCheckpoint, dir, trainer.ArgsFile)
	}
	return nil
}

// train runs a new training.
func train(cmd *cobra.Command, c trainer.Config) error {
	return withDevice(cmd, c, func(d *device, data *dataset.Dataset) error {
		dir, err := trainer.NewFolder(c)
		if err != nil {
			return err
		}
		err = trainAndPrint(cmd, c, d, data, trainer.Options{Dir: dir})
		if err != nil {
			_ = os.Remove(dir) // does nothing if the run has left files
		}
		return err
	})
}

// resumeTraining goes on with the run of a folder, whose args.yaml is in c. Of
// one that is finished it prints the result, for which it needs no device.
func resumeTraining(cmd *cobra.Command, c trainer.Config, dir string) error {
	result, err := trainer.FinishedRun(dir, c)
	if err != nil {
		return err
	}
	if result == nil {
		return withDevice(cmd, c, func(d *device, data *dataset.Dataset) error {
			return trainAndPrint(cmd, c, d, data, trainer.Options{Dir: dir, Resume: true})
		})
	}
	if err := trainer.TidyRun(dir); err != nil {
		return err
	}
	if err := completeReport(dir); err != nil {
		return err
	}
	printFinished(cmd.OutOrStdout(), c, result, dir)
	return nil
}

// printFinished says that nothing was left to train, what would change that,
// and the result.
func printFinished(w io.Writer, c trainer.Config, r *trainer.Result, dir string) {
	if !c.Quiet {
		more := "a larger --epochs"
		switch {
		case c.MaxSteps > 0 && r.Stopped != "":
			more = "a larger --max-steps, or 0"
		case r.Stopped != "":
			more = "a larger --patience or --epochs"
		}
		fmt.Fprintf(w, "the run %s had finished after epoch %d; to train more, resume it with %s\n", dir, len(r.Epochs), more)
	}
	printResult(w, c, r, dir)
}

// completeReport writes the report of a finished run that lacks it, since it
// was killed in the last moment.
func completeReport(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, report.File)); err == nil {
		return nil
	}
	_, err := report.Write(dir, "")
	return err
}

// withDevice opens the device and loads the data that the settings name.
func withDevice(cmd *cobra.Command, c trainer.Config, do func(*device, *dataset.Dataset) error) error {
	precision, err := kernels.ParsePrecision(c.Precision)
	if err != nil {
		return err
	}
	d, err := openDevice(deviceFlags{selector: c.Device, cpu: c.CPU, threads: c.Threads, validate: c.Validate, precision: precision})
	if err != nil {
		return err
	}
	if !c.Quiet {
		fmt.Fprintln(cmd.OutOrStdout(), d.announce())
	}
	data, err := loadData(c.DataDir)
	if err == nil {
		err = do(d, data)
	}
	return closeDevice(d, err)
}

// trainAndPrint trains, and prints what came out.
func trainAndPrint(cmd *cobra.Command, c trainer.Config, d *device, data *dataset.Dataset, o trainer.Options) error {
	out := cmd.OutOrStdout()
	screen := newScreen(out, cmd.ErrOrStderr(), !c.NoProgress && !c.Quiet)
	p := &progress{screen: screen, out: screen, config: c, dir: o.Dir}
	result, err := runTraining(cmd.Context(), p, d, data, o)
	screen.close()
	if errors.Is(err, trainer.ErrInterrupted) {
		printInterrupted(cmd, "go on with: fmnist-gpu train --resume "+o.Dir)
	}
	if result != nil {
		printResult(out, c, result, o.Dir)
	}
	return err
}

// printInterrupted says how an interrupted command goes on: on standard error
// where it was interrupted since nobody reads its output.
func printInterrupted(cmd *cobra.Command, goOn string) {
	text := "interrupted; all is saved, " + goOn
	if _, err := fmt.Fprintln(cmd.OutOrStdout(), text); err != nil {
		fmt.Fprintln(cmd.ErrOrStderr(), text)
	}
}

// runTraining trains, prints how it goes and writes the report. Where only the
// report fails there is a result.
func runTraining(ctx context.Context, p *progress, d *device, data *dataset.Dataset, o trainer.Options) (*trainer.Result, error) {
	defer p.end()
	o.Environment, o.Progress = d.environment, p
	o.Environment.Data, o.Environment.SHA256 = data.Dir, data.SHA256
	result, err := trainer.Train(ctx, p.config, d.Backend, data, o)
	if err != nil {
		return nil, err
	}
	_, err = report.Write(o.Dir, "")
	return result, err
}

// printResult says how well the run's weights do on the test set.
func printResult(w io.Writer, c trainer.Config, r *trainer.Result, dir string) {
	printAccuracy(w, c, r)
	if p, ok := trainer.FindPreset(c.Preset); ok {
		fmt.Fprintf(w, "the original's %s reached %.2f %%, macro F1 %.4f, selecting on the test images\n",
			p.Name, 100*p.OriginalAccuracy, p.OriginalMacroF1)
	}
	first := ""
	if !r.FirstStep.IsZero() {
		first = fmt.Sprintf(", the first step done after %.0f ms", r.FirstStep.Sub(started).Seconds()*1e3)
	}
	fmt.Fprintf(w, "trained in %.1f s at %s images/s%s; the run and its report.html are in %s\n",
		r.Metrics.TrainingSeconds, humanize.Comma(int64(r.Metrics.ImagesPerSecond)), first, dir)
}

// printAccuracy says how well the run's weights do on the test set.
func printAccuracy(w io.Writer, c trainer.Config, r *trainer.Result) {
	if r.Stopped != "" && !c.Quiet {
		fmt.Fprintln(w, "stopped", r.Stopped)
	}
	protocol := "best epoch by held-out training images"
	switch {
	case c.NoEval:
		protocol = "the last epoch, not selected"
	case c.SelectOn == "test":
		protocol = "best epoch by the test images themselves, so optimistic"
	}
	limited := ""
	if c.EvalImages > 0 {
		limited = fmt.Sprintf(" on %s images", humanize.Comma(int64(r.Metrics.Images)))
	}
	fmt.Fprintf(w, "test accuracy%s %.2f %%  macro F1 %.4f  loss %.4f  (epoch %d, %s)\n",
		limited, 100*r.Metrics.Accuracy, r.Metrics.Macro.F1, r.Metrics.Loss, r.BestEpoch, protocol)
}

// printPlan is --dry-run.
func printPlan(w io.Writer, c trainer.Config) error {
	data, err := loadData(c.DataDir)
	if err != nil {
		return err
	}
	s, err := trainer.Describe(c, data)
	if err != nil {
		return err
	}
	text, err := s.Config.YAML()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, `%s
# a dry run: nothing is trained
parameters       %s
training images  %s an epoch, %s steps of %d
evaluated on     %s images after each epoch (%s)
device memory    %s for weights, optimiser, activations and the dataset
data             %s
`, text, humanize.Comma(int64(s.Parameters)), humanize.Comma(int64(s.TrainImages)), humanize.Comma(int64(s.StepsPerEpoch)),
		c.BatchSize, humanize.Comma(int64(s.SelectImages)), c.SelectOn, humanize.IBytes(uint64(s.DeviceBytes)), data.Dir)
	return err
}
